"""Keys over the life of a whole server: when they die, and what a start makes of lost ones."""

import asyncio
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from typer.testing import CliRunner, Result

from sipis.app.server import Server
from sipis.app.upkeep import Upkeep
from sipis.cli import app as commands
from sipis.errors import ConfigError, KeeperLocked, KeyGone, StoreError
from sipis.store import erasure, lookup
from sipis.store.lookup import InstanceRow
from sipis.vault.medium import WRITES_ELSEWHERE
from sipis.vault.vault import Vault
from sipis.world.handset import Handset
from tests.scenarios.conftest import Town
from tests.support.life import OtherClock, row_of, serve_by
from tests.support.server import to_toml

BODIES, CELL = 4096 + 2 * 8192 * 128, 128


def server(town: Town) -> Server:
    assert town.server is not None
    return town.server


def vault(town: Town) -> Vault:
    return server(town)._ground.vault


def data(town: Town) -> Path:
    return town.folder / "server"


def key_bytes(town: Town, row: InstanceRow) -> bytes:
    """The cell of an instance as it lies in the file now."""
    segment = vault(town)._slots._segments[row.slot // 1024]
    assert segment is not None
    with (data(town) / "slots").open("rb") as file:
        file.seek(BODIES + (segment.place * 1024 + row.slot % 1024) * CELL)
        return file.read(CELL)


def key_files(town: Town) -> dict[str, bytes]:
    return {name: (data(town) / name).read_bytes() for name in ("kek", "epoch", "slots")}


async def gone(phone: Handset) -> None:
    """Wait until the API knows the instance no more."""
    async with asyncio.timeout(10):
        while (await phone.here("GET")).status != 404:  # noqa: ASYNC110 - the API has no event
            await asyncio.sleep(0)


async def logged(town: Town, kind: str) -> int:
    """How many leaves of a kind the transparency log has."""

    def count(conn: sqlite3.Connection) -> int:
        lines = conn.execute("SELECT line FROM log_leaves").fetchall()
        return sum(f'"type":"{kind}"'.encode() in bytes(line[0]) for line in lines)

    return await server(town)._ground.store.read(count)


async def until_logged(town: Town, kind: str) -> None:
    async with asyncio.timeout(10):
        while not await logged(town, kind):  # noqa: ASYNC110 - nor has the log
            await asyncio.sleep(0)


async def test_d5_the_key_is_overwritten_before_the_answer_leaves(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await town.asleep()
    row = await row_of(town, phone)
    assert row.id in key_bytes(town, row).hex()
    seen: list[bytes] = []
    original = server(town)._lifecycle.disable

    async def disabled(id: str, secret: str) -> object:  # noqa: A002
        deleted = await original(id, secret)
        seen.append(key_bytes(town, row))
        with pytest.raises(KeyGone):
            vault(town)._slots.read(row.slot, row.id)
        return deleted

    monkeypatch.setattr(server(town)._lifecycle, "disable", disabled)
    assert (await phone.here("DELETE")).status == 200
    assert seen == [bytes(CELL)]


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
async def test_d17_a_client_that_hangs_up_during_its_delete_leaves_no_live_credential(
    town: Town, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    phone = await town.asleep()
    row, begun = await row_of(town, phone), asyncio.Event()
    original = server(town)._lifecycle.disable

    async def noted(*args: object) -> object:
        begun.set()
        return await original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(server(town)._lifecycle, "disable", noted)
    _, writer = await asyncio.open_connection("127.0.0.1", server(town).api_port)
    writer.write(
        f"DELETE /v1/instances/{row.id} HTTP/1.1\r\nHost: sipis\r\n"
        f"Authorization: Bearer {phone.instance['secret']}\r\n\r\n".encode()
    )
    await begun.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    writer.transport.abort()
    await gone(phone)
    assert not vault(town).holds(row)
    assert await server(town)._lifecycle.receipt(row.commitment) is not None


async def test_d6_the_key_dies_where_the_row_cannot(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await town.asleep()
    row = await row_of(town, phone)

    def full(*_: object, **__: object) -> object:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(erasure, "erase", full)
    with capture_logs():
        assert (await phone.here("DELETE")).status in {200, 202}
    sealed = await server(town)._ground.store.read(lookup.sealed, row.n, row.created_at)
    assert sealed is not None
    with pytest.raises(KeyGone):
        vault(town).open_account(sealed)


async def test_d9_what_expired_meanwhile_is_destroyed_before_a_listener_opens_or_a_packet_leaves(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await town.asleep(ttl=120)
    row = await row_of(town, phone)
    await town.stop()
    registers = len(town.provider.registrar.requests.items)
    held: list[bool] = []
    original = Server._listen

    async def listening(self: Server, ground: object) -> None:
        held.append(self._ground.vault.holds(row))
        await original(self, ground)  # type: ignore[arg-type]

    monkeypatch.setattr(Server, "_listen", listening)
    await serve_by(town, OtherClock(ahead=3600))
    assert held == [False]
    assert (await vault(town).roll()).after > 1
    assert len(town.provider.registrar.requests.items) == registers


async def test_d10_an_overdue_roll_shows_as_degraded_and_as_a_metric(town: Town) -> None:
    running = server(town)
    upkeep = Upkeep(running._charges(running._ground), running._clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(running._roller), "lateness", 17.0)
        upkeep._watch_epoch()
        assert running.health.report()["status"] == "degraded"
        assert b"sipis_epoch_roll_overdue_seconds 17.0" in running._ground.metrics.exposition()
    upkeep._watch_epoch()
    assert running.health.report()["status"] == "ready"


async def test_d10_a_server_that_stops_after_a_deletion_rolls_first(town: Town) -> None:
    phone = await town.asleep()
    await until_logged(town, "epoch_rolled")
    assert (await phone.here("DELETE")).status == 200
    generation, stopped = vault(town).generation, vault(town)
    await town.stop()
    assert stopped.generation == generation + 1
    await town.serve()
    rolls = await leaves_of(town, "epoch_rolled")
    assert generation + 1 in {it["epoch_after"] for it in rolls}


async def test_every_start_rolls_and_the_log_tells_of_it(town: Town) -> None:
    await until_logged(town, "epoch_rolled")
    assert vault(town).generation == 2


async def test_d22_an_older_database_revives_nobody_and_sends_nothing(town: Town) -> None:
    phone, other = await town.asleep("alice"), await town.asleep("bob")
    await town.stop()
    backup = town.folder / "backup"
    backup.mkdir()
    for file in data(town).glob("*.db*"):
        shutil.copy(file, backup)
    await town.serve()
    assert (await phone_at(town, phone).here("DELETE")).status == 200
    await town.stop()
    for file in backup.iterdir():
        shutil.copy(file, data(town))
    farewells = len(town.provider.registrar.requests.items)
    with capture_logs() as logs:
        await town.serve()
        await gone(phone_at(town, phone))
        await until_purged(logs, 1)
    assert await logged(town, "restore")
    assert (await phone_at(town, other).here("GET")).status == 200
    registers = town.provider.registrar.requests.items[farewells:]
    assert [it for it in registers if "alice" in str(it.headers.get("To"))] == []


async def test_f44_without_the_key_slots_every_instance_ends_and_is_counted(town: Town) -> None:
    phones = [await town.asleep("alice"), await town.asleep("bob")]
    await town.stop()
    (data(town) / "slots").unlink()
    with capture_logs() as logs:
        await town.serve()
        for phone in phones:
            await gone(phone_at(town, phone))
        assert await logged(town, "keyloss") == 1
        await until_purged(logs, 2)
    assert await logged(town, "restore") == 0


async def until_purged(logs: list[EventDict], wanted: int) -> None:
    """Wait until so many rows were said to be erased for want of a key."""
    purged = 0
    async with asyncio.timeout(10):
        while purged < wanted:
            await asyncio.sleep(0)
            purged = sum(it["count"] for it in logs if it["event"] == "rows without a key")
    assert purged == wanted


def phone_at(town: Town, phone: Handset) -> Handset:
    """The same phone, calling the API where it is after a restart."""
    phone._api = f"http://127.0.0.1:{server(town).api_port}"
    return phone


@pytest.mark.parametrize("kek", [None, os.urandom(32), b"short"], ids=["none", "wrong", "short"])
async def test_k3_without_its_kek_the_server_does_not_start_and_changes_no_file(
    town: Town, kek: bytes | None
) -> None:
    await town.asleep()
    await town.stop()
    before = key_files(town)
    (data(town) / "kek").unlink()
    if kek is not None:
        (data(town) / "kek").write_bytes(kek)
    with pytest.raises(KeeperLocked):
        await town.serve()
    (data(town) / "kek").unlink(missing_ok=True)
    (data(town) / "kek").write_bytes(before["kek"])
    assert key_files(town) == before
    await town.serve()


async def test_k4_a_kek_in_the_environment_is_refused(
    empty_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIPIS_KEK", "0" * 64)
    with pytest.raises(ConfigError, match="environment"):
        await empty_town.serve()


async def test_d26_copy_on_write_stops_the_start_unless_overridden_and_the_log_tells_of_that(
    empty_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, name = next(iter(WRITES_ELSEWHERE.items()))
    for kind in ("check_media", "overridden", "media_warnings"):
        monkeypatch.setattr(f"sipis.vault.medium.{kind}.__defaults__", (lambda _: number,))
    with pytest.raises(ConfigError, match=name):
        await empty_town.serve(keys={"allow_copy_on_write": False})
    await empty_town.serve(keys={"allow_copy_on_write": True})
    await until_logged(empty_town, "config")
    lines = await server(empty_town)._ground.store.read(
        lambda conn: [bytes(row[0]) for row in conn.execute("SELECT line FROM log_leaves")]
    )
    assert any(b"allow_copy_on_write" in line for line in lines)


def rotate(town: Town, new: Path) -> Result:
    config = town.folder / "sipis.toml"
    keys = {"allow_copy_on_write": True}
    config.write_text(to_toml({"store": {"directory": str(data(town))}, "keys": keys}))
    return CliRunner().invoke(
        commands, ["keys", "rotate-kek", "--new", str(new), "--config", str(config)]
    )


async def test_k5_the_operator_rotates_the_kek_of_a_stopped_server(town: Town) -> None:
    phone = await town.asleep()
    new = town.folder / "new-kek"
    new.write_bytes(os.urandom(32))
    running = await asyncio.to_thread(rotate, town, new)
    assert running.exit_code == 1
    assert "another process" in running.output
    await town.stop()
    rotated = await asyncio.to_thread(rotate, town, new)
    assert rotated.exit_code == 0, rotated.output
    with pytest.raises(KeeperLocked):
        await town.serve()
    await town.serve(keys={"kek_file": str(new)})
    assert (await phone_at(town, phone).here("GET")).status == 200
    assert vault(town).holds(await row_of(town, phone))
    rolls = await leaves_of(town, "epoch_rolled")
    assert [it["epoch_before"] for it in rolls[1:]] == [it["epoch_after"] for it in rolls[:-1]]
    assert rolls[-1]["epoch_after"] - rolls[0]["epoch_before"] >= 2  # the rotation is among them


async def leaves_of(town: Town, kind: str) -> list[dict[str, int]]:
    lines = await server(town)._ground.store.read(
        lambda conn: [bytes(row[0]) for row in conn.execute("SELECT line FROM log_leaves")]
    )
    return [leaf for leaf in map(json.loads, lines) if leaf["type"] == kind]


async def test_a_store_that_was_never_made_is_not_made_by_a_rotation(empty_town: Town) -> None:
    new = empty_town.folder / "new-kek"
    new.write_bytes(os.urandom(32))
    result = await asyncio.to_thread(rotate, empty_town, new)
    assert result.exit_code == 1
    assert not data(empty_town).exists()


async def test_d24_no_configuration_moves_a_promised_deadline_back(town: Town) -> None:
    phone = await town.asleep(ttl=3600)
    promised = phone.instance["expires_at"]
    await town.stop()
    longer = {"ttl_default": 6 * 86_400, "ttl_max": 7 * 86_400}
    await town.serve(policy=longer)
    assert (await phone_at(town, phone).here("GET")).body["expires_at"] == promised


async def test_d25_more_than_the_longest_life_is_reduced_and_the_answer_shows_it(
    town: Town,
) -> None:
    phone = await town.asleep(ttl=30 * 86_400)
    assert phone.instance["ttl"] == 7 * 86_400
