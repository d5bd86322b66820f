import sqlite3
import threading
from pathlib import Path

import pytest

from sipis.errors import StoreError
from sipis.store.runner import open_migrated
from sipis.store.thread import DatabaseThread


async def test_a_function_runs_whole_on_the_connections_own_thread(directory: Path) -> None:
    thread = await DatabaseThread.start(lambda: open_migrated(directory))
    first = await thread.run(lambda _: threading.get_ident())
    second = await thread.run(lambda _: threading.get_ident())
    await thread.close()
    assert first == second != threading.get_ident()


async def test_database_errors_come_as_ours(directory: Path) -> None:
    thread = await DatabaseThread.start(lambda: open_migrated(directory))
    with pytest.raises(StoreError, match="SQLITE_ERROR"):
        await thread.run(lambda conn: conn.execute("nonsense"))
    await thread.close()


async def test_an_error_while_connecting_reaches_the_caller() -> None:
    def connect() -> sqlite3.Connection:
        raise StoreError("no such place")

    with pytest.raises(StoreError, match="no such place"):
        await DatabaseThread.start(connect)
