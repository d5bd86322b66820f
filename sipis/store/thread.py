"""A database connection on a thread of its own, and the public way to run a function there.

aiosqlite runs every call on its connection's thread; this subclass opens its way of doing so to
whole functions, because a statement at a time costs three times the CPU and lets cancellation stop
half-way through a transaction.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar, cast

import aiosqlite

from sipis.store.batch import as_ours

T = TypeVar("T")

_ROWS_AT_ONCE = 64


class DatabaseThread(aiosqlite.Connection):
    """aiosqlite's connection, for functions of the plain connection."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(self._connect_or_note, _ROWS_AT_ONCE)
        self._open = connect
        self._failure: BaseException | None = None

    @classmethod
    async def start(cls, connect: Callable[[], sqlite3.Connection]) -> "DatabaseThread":
        """Start a thread and connect on it; raises what `connect` raises."""
        thread = cls(connect)
        await thread
        if thread._failure is not None:
            await thread.close()
            raise thread._failure
        return thread

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the thread; database errors come as StoreError.

        A caller that is cancelled while it waits stops waiting only: the function runs whole.
        """
        try:
            outcome = self._execute(function, self._conn)  # type: ignore[no-untyped-call]
            return cast("T", await outcome)
        except sqlite3.Error as error:
            raise as_ours(error) from None

    def _connect_or_note(self) -> sqlite3.Connection:
        """On the thread. After a failure it is closed like any other: aiosqlite would not wait."""
        try:
            return self._open()
        except BaseException as failure:
            self._failure = failure
            return sqlite3.connect(":memory:")
