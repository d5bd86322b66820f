"""The operator's commands against a running server, and how `serve` stops."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sipis.app.serve import serve_until_stopped
from sipis.cli import app
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.logs import kept_log
from tests.support.server import to_toml

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def own_log() -> None:
    """The commands print where the server would log."""
    kept_log()


@pytest.fixture
def config(town: Town) -> Path:
    """A configuration that leads to the admin listener of the town's server."""
    assert town.server is not None
    path = town.folder / "sipis.toml"
    token = str(town.folder / "server" / "admin.token")
    path.write_text(to_toml({"admin": {"port": town.server.admin_port, "token_file": token}}))
    return path


async def run(config: Path, *arguments: str) -> Result:
    command = [*arguments, "--config", str(config)]
    return await asyncio.to_thread(CliRunner().invoke, app, command)


async def test_health_is_told_by_word_and_exit_code(town: Town, config: Path) -> None:
    ready = await run(config, "health")
    assert (ready.exit_code, json.loads(ready.stdout)["waiting"]) == (0, [])
    assert town.server is not None
    town.server.health.drain()
    draining = await run(config, "health")
    assert (draining.exit_code, json.loads(draining.stdout)["status"]) == (1, "draining")


async def test_instances_are_listed_shown_and_deleted(town: Town, config: Path) -> None:
    assert (await run(config, "instances", "list")).stdout == ""
    phone = await town.asleep()
    await town.state(phone, "registered")
    instance = str(phone.instance["instance"])
    listed = await run(config, "instances", "list")
    assert listed.stdout.split()[:3] == [instance, "demo", "registered"]
    shown = await run(config, "instances", "show", instance)
    assert json.loads(shown.stdout)["state"] == "registered"
    deleted = await run(config, "instances", "delete", instance)
    assert json.loads(deleted.stdout)["reason"] == "admin"
    assert (await phone.here("GET")).status == 404
    for command in ("show", "delete"):
        again = await run(config, "instances", command, instance)
        assert (again.exit_code, again.stderr) == (1, "There is no such thing here\n")


async def test_an_app_that_was_taken_out_is_refused_changes_and_can_be_removed(
    town: Town, config: Path
) -> None:
    phone = await town.asleep()
    server = town.server
    assert server is not None
    server._settings.apps.pop("demo")  # type: ignore[attr-defined]
    assert (await phone.here("GET")).status == 200
    for method, path in (("PUT", ""), ("POST", "/refresh")):
        target = {"provider": "fcm", "kind": "token", "token": "another"}
        refused = await phone.here(method, path, {"targets": [target]})
        assert (refused.status, refused.body["field"]) == (422, "app_id")
    for count in (1, 0):
        removed = await run(config, "instances", "remove-app", "demo")
        assert (removed.exit_code, removed.stdout) == (0, f"{count} instances destroyed\n")
    assert (await phone.disable()).body["reason"] == "app_removed"


@pytest.fixture
def mistaken(config: Path, town: Town) -> Path:
    """The same with a token that is not the server's."""
    config.write_text(config.read_text().replace("admin.token", "wrong.token"))
    (town.folder / "server" / "wrong.token").write_text("wrong")
    return config


async def test_a_wrong_token_is_one_line(mistaken: Path) -> None:
    refused = await run(mistaken, "instances", "list")
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 1


class TestStopping:
    """SIGTERM to a server with and without a ringing phone."""

    async def test_it_says_where_it_serves_and_stops_at_the_first_signal(
        self, empty_town: Town
    ) -> None:
        said: list[str] = []
        ready = asyncio.Event()

        def announce(line: str) -> None:
            said.append(line)
            ready.set()

        async with asyncio.TaskGroup() as group:
            served = group.create_task(serve_until_stopped(empty_town.settings(), announce))
            await ready.wait()
            os.kill(os.getpid(), signal.SIGTERM)
        assert served.done()
        assert said[0].startswith("sipis serves the app API on 127.0.0.1:")
        token = (empty_town.folder / "server" / "admin.token").read_text().strip()
        assert not any(token in line for line in said)

    @pytest.mark.parametrize("signals", [1, 2])
    async def test_a_ringing_phone_is_waited_for_until_somebody_hurries(
        self, town: Town, signals: int
    ) -> None:
        assert town.server is not None
        await town.asleep(temper=Temper.RING)
        town.provider.call("alice")
        await town.stage.fcm.pushes.next()
        hurry = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(town.server.drain(hurry))
            await asyncio.sleep(0)
            assert not town.server.health.ready
            assert not drained.done()
            if signals == 2:
                hurry.set()
        assert drained.done()
