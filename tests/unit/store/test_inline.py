import sqlite3
import threading
from pathlib import Path

import pytest

from sipis.errors import StoreError
from sipis.store import notes
from sipis.store.inline import InlineRunner
from sipis.store.runner import Store


async def test_jobs_run_in_the_callers_thread(directory: Path) -> None:
    store: Store = InlineRunner(directory)
    assert await store.write(lambda _: threading.get_ident()) == threading.get_ident()
    await store.close()


async def test_it_keeps_what_was_written_and_only_that(directory: Path) -> None:
    def fail(conn: sqlite3.Connection) -> None:
        notes.put(conn, "half", "x")
        raise ValueError("a bug")

    store = InlineRunner(directory)
    await store.write(notes.put, "whole", "x")
    with pytest.raises(ValueError, match="a bug"):
        await store.write(fail)
    await store.read(notes.put, "only looked", "x")
    assert await store.read(notes.get, "whole") == "x"
    assert await store.read(notes.get, "half") is None
    assert await store.read(notes.get, "only looked") is None
    await store.vacuum()
    assert await store.checkpoint()
    await store.close()


async def test_database_errors_come_as_ours(directory: Path) -> None:
    store = InlineRunner(directory)
    with pytest.raises(StoreError, match="SQLITE_ERROR"):
        await store.read(lambda conn: conn.execute("nonsense"))
    await store.close()
