"""D1: after the answer no file holds the markers, the data keys or the sealed records."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.model import DeletionReason
from sipis.store import connection
from sipis.vault.search import Wanted, search_files
from tests.deletion.conftest import Estate
from tests.support.lifecycle import build, running, settings
from tests.support.server import APP, Server


async def test_d1_after_the_answer_no_file_holds_a_byte_of_it(estate: Estate) -> None:
    leaver, stayer = await estate.let(), await estate.let()
    assert estate.traces(leaver) != []  # the control: sealed records are seen while they are held
    answer = await estate.house.lifecycle.disable(leaver.enabled.row.id, leaver.enabled.secret)
    assert answer is not None
    assert estate.traces(leaver) == []
    assert estate.traces(stayer) != []


async def test_d1_nor_of_what_it_had_before_it_was_sealed_anew(estate: Estate) -> None:
    tenant = await estate.let()
    for _ in range(3):
        row = await estate.house.lifecycle.refresh(tenant.enabled.row, None, ())
        assert row is not None
        await estate.learn(tenant)
    await estate.house.lifecycle.disable(tenant.enabled.row.id, tenant.enabled.secret)
    assert estate.traces(tenant) == []


async def test_d1_holds_for_every_reason(estate: Estate) -> None:
    destroy = estate.house.lifecycle._destruction.destroy
    for reason in DeletionReason:
        tenant = await estate.let()
        await destroy([tenant.enabled.row], reason)
        assert estate.traces(tenant) == [], reason


async def test_d23_a_removed_app_leaves_nothing_of_any_instance(estate: Estate) -> None:
    tenants = [await estate.let() for _ in range(12)]
    removed = await estate.house.lifecycle.remove_app(tenants[0].enabled.row.app)
    assert removed == 12
    assert estate.traces(tenants) == []


@pytest.fixture(params=["ON", "OFF"])
def build_default(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An SQLite that was compiled with this default of secure_delete."""
    original, default = sqlite3.connect, str(request.param)

    def connect(*args: object, **kwargs: object) -> sqlite3.Connection:
        made: sqlite3.Connection = original(*args, **kwargs)  # type: ignore[call-overload]
        made.execute(f"PRAGMA secure_delete = {default}")
        return made

    monkeypatch.setattr(sqlite3, "connect", connect)
    return default


async def traces_after_a_deletion(folder: Path) -> list[str]:
    async with running(build(folder / "data", ManualClock(), settings(folder))) as house:
        estate = Estate(house)
        leaver, _ = await estate.let(), await estate.let()
        assert await house.store.checkpoint()
        assert estate.traces(leaver) != []
        await house.lifecycle.disable(leaver.enabled.row.id, leaver.enabled.secret)
        return estate.traces(leaver)


async def test_d1_holds_whatever_default_sqlite_was_built_with(
    tmp_path: Path, build_default: str
) -> None:
    assert await traces_after_a_deletion(tmp_path) == []


@pytest.mark.parametrize("build_default", ["OFF"], indirect=True)
async def test_d1_without_the_pragma_traces_stay_and_are_seen(
    tmp_path: Path, build_default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the test above looks for is there when nothing is done about it."""
    monkeypatch.delitem(connection._PER_SCHEMA, "secure_delete")
    assert await traces_after_a_deletion(tmp_path) != []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server as a process, that tells all, with a folder for temporary files of its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    server = Server(
        tmp_path / "sipis",
        log={"level": "debug"},
        apps={APP: {"trial": True, "require_verification": False}},
    )
    server.start()
    yield server
    server.stop()


def test_d1_of_a_running_server_neither_data_nor_temporary_files_nor_logs_hold_a_marker(
    server: Server, tmp_path: Path
) -> None:
    for _ in range(10):
        user, password, token = (f"m{os.urandom(12).hex()}" for _ in range(3))
        wanted = [Wanted.of(it.encode(), os.urandom) for it in (user, password, token)]
        account = {"aor": f"sip:{user}@{user}.example.org", "password": password}
        target = {"provider": "fcm", "kind": "token", "token": token}
        body = {"app_id": APP, "account": account, "targets": [target]}
        made = server.call("POST", "/v1/instances", body)
        assert made.status == 201, made.body
        instance = str(made.body["instance"])
        held = Wanted.of(bytes.fromhex(instance), os.urandom)
        assert search_files([server.data / "slots"], [held])
        gone = server.call("DELETE", f"/v1/instances/{instance}", bearer=str(made.body["secret"]))
        assert gone.status == 200
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert server.program is not None
        assert {server.program.log, server.data / "sipis.db"} <= set(files)
        assert search_files(files, wanted) == []
        assert search_files([server.data / "slots"], [held]) == []
