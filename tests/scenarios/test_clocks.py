"""A server whose clock is set while it runs: nobody is lost, silenced or accused."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from sipis.app.server import Server
from sipis.audit import export
from sipis.audit.verifier.forms import read_checkpoints, read_keys
from sipis.audit.verifier.rules import Report
from sipis.clock import SystemClock
from tests.scenarios.conftest import Town
from tests.support.tlog import verify

pytestmark = pytest.mark.timeout(60)
DAY = 86_400.0


class SetClock(SystemClock):
    """The machine's clock with its wall time off by some seconds."""

    def __init__(self) -> None:
        self.off = 0.0

    def wall(self) -> float:
        return time.time() + self.off


@asynccontextmanager
async def served(town: Town, clock: SetClock) -> AsyncIterator[Server]:
    async with Server(town.settings(), clock=clock) as server:
        town.server = server
        yield server


async def taken_away(server: Server) -> tuple[list[bytes], Report]:
    """The log, and what its verifier says of it."""
    await server._notary.work()
    lines = (await server._ground.store.read(export.lines, 0)).splitlines()
    latest = server._notary.latest
    assert latest is not None
    keys = read_keys("\n".join(server._notary.verifier_keys()))
    return lines, verify(lines, read_checkpoints(f"{latest.text}\n"), keys)


async def test_a_clock_set_ahead_takes_nothing_from_the_log(empty_town: Town) -> None:
    clock = SetClock()
    async with served(empty_town, clock) as server:
        clock.off = 500 * DAY
        lines, _ = await taken_away(server)
    assert not any(b'"hash"' in line for line in lines)


@pytest.mark.parametrize("steps", [(-DAY,), (-10 * DAY, 0.0), (DAY, 0.0), (DAY, -DAY)])
async def test_a_log_over_which_the_clock_was_set_holds(
    empty_town: Town, steps: tuple[float, ...]
) -> None:
    clock = SetClock()
    async with served(empty_town, clock) as server:
        for off in (0.0, *steps):
            clock.off = off
            phone = await empty_town.phone()
            account = {"aor": empty_town.provider.add("bob", "secret"), "password": "secret"}
            assert (await phone.enable(account)).status == 201
            assert (await phone.disable()).status == 200
            assert await server._roller._roll()
        _, report = await taken_away(server)
    assert report.findings == []


async def test_after_the_clock_was_set_back_an_account_is_registered_at_once(
    empty_town: Town,
) -> None:
    clock = SetClock()
    async with served(empty_town, clock):
        clock.off = -DAY
        async with asyncio.timeout(15):
            await empty_town.asleep("alice")


async def test_an_operator_sees_the_living_while_the_clock_is_ahead(empty_town: Town) -> None:
    clock = SetClock()
    async with served(empty_town, clock) as server, ClientSession() as http:
        await empty_town.asleep("alice")
        clock.off = 30 * DAY
        token = (empty_town.folder / "server" / "admin.token").read_text().strip()
        url = f"http://127.0.0.1:{server.admin_port}/v1/admin/instances"
        async with http.get(url, headers={"Authorization": f"Bearer {token}"}) as said:
            assert len((await said.json())["instances"]) == 1


async def test_a_restored_backup_of_accounts_that_ended_in_time_accuses_nobody(
    empty_town: Town,
) -> None:
    """Their deadline has passed meanwhile; their keys were destroyed long before."""
    clock, data = SetClock(), empty_town.folder / "server"
    async with served(empty_town, clock):
        phone = await empty_town.phone()
        account = {"aor": empty_town.provider.add("bob", "secret"), "password": "secret"}
        assert (await phone.enable(account, ttl=3600)).status == 201
    backup = {path: path.read_bytes() for path in data.glob("*.db*")}
    async with served(empty_town, clock) as server:
        assert await server._lifecycle.delete(str(phone.instance["instance"])) is not None
        await server._notary.work()
    for path, content in backup.items():
        path.write_bytes(content)
    clock.off = 2 * 3600.0
    async with served(empty_town, clock) as server:
        _, report = await taken_away(server)
    assert report.reasons == {"key_lost": 1}
    assert report.findings == []
    assert any("restored" in it for it in report.notices)
