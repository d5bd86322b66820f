"""D3: a reader in the way of the checkpoint delays the cleaning of the log, and no more."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipis.clock import SystemClock
from sipis.lifecycle import Enabled, Lifecycle
from sipis.store import lookup
from sipis.store.connection import open_reader
from sipis.store.runner import Runner
from tests.support.lifecycle import build_on, order, settings
from tests.support.vault import open_vault

LOOK = 0.05
"""Seconds between two looks, which are counted: a machine that stands still is no fault of ours."""


@pytest.fixture
async def lifecycle(tmp_path: Path) -> AsyncIterator[tuple[Lifecycle, Runner]]:
    """On the real store, with its threads."""
    clock, home = SystemClock(), tmp_path / "data"
    home.mkdir()
    store, vault = await Runner.open(home, clock), open_vault(home, inline=False)
    made, _, _ = build_on(store, vault, clock, settings(home))
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run())
        await asyncio.sleep(0)
        yield made, store
        made.stop()
    await store.close()
    vault.close()


async def test_d3_with_a_reader_held_for_three_seconds_the_log_is_empty_within_one_second(
    lifecycle: tuple[Lifecycle, Runner], tmp_path: Path
) -> None:
    made, store = lifecycle
    enabled = await made.enable(order())
    assert isinstance(enabled, Enabled)
    sealed = await store.read(lookup.sealed, enabled.row.n, time.time())
    assert sealed is not None
    reader = open_reader(tmp_path / "data")
    _hold(reader)
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(made.disable(enabled.row.id, enabled.secret))
        asyncio.get_running_loop().call_later(3.0, reader.close)
        while not (closed := _is_closed(reader)):
            assert _holds(tmp_path, sealed.credential)
            await SystemClock().sleep(0.1)
        assert closed
        await ending
        for _ in range(int(1.0 / LOOK)):
            if not _holds(tmp_path, sealed.credential):
                break
            await SystemClock().sleep(LOOK)
        assert not _holds(tmp_path, sealed.credential)


def _hold(reader: sqlite3.Connection) -> None:
    """Begin a read that sees the instance, and keep it."""
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM instances").fetchone()


def _is_closed(reader: sqlite3.Connection) -> bool:
    try:
        reader.total_changes  # noqa: B018 - raises once it is closed
    except sqlite3.ProgrammingError:
        return True
    return False


def _holds(folder: Path, record: bytes) -> bool:
    return any(record[:64] in path.read_bytes() for path in (folder / "data").iterdir())
