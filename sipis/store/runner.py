"""Runs jobs: one writer and one reader, each on a thread of its own, so that the loop never waits.

    await store.write(instances.insert, new)        one transaction on the writer
    await store.read(lookup.by_id, id, now)         one snapshot on the reader

A caller that is cancelled only stops waiting: its job commits or rolls back whole. Refuses single
statements from outside: half of a transaction must have no place to be.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sipis.clock import Clock
from sipis.errors import StoreError
from sipis.store.batch import Job, run_batch, run_shared
from sipis.store.checkpoint import truncate_logs, vacuum_varying
from sipis.store.connection import open_reader, open_writer
from sipis.store.migrate import migrate
from sipis.store.thread import DatabaseThread

P = ParamSpec("P")
T = TypeVar("T")

MOST_WAITING: Final = 10_000
"""Write jobs that may wait; beyond, callers are told to come back."""

CHECKPOINT_PATIENCE: Final = 5.0
CHECKPOINT_PAUSE: Final = 0.02


class Store(Protocol):
    """What the rooms above know of a database."""

    async def write(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job in a transaction; returns its result once that is on disk.

        Raises what the job raises, and StoreError when the database refuses.
        """

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job that changes nothing, on one snapshot; raises as write() does."""

    async def checkpoint(self) -> bool:
        """Move all commits into the files and empty the logs; False when readers were in the way.

        Until then the logs may hold copies of erased rows.
        """

    async def vacuum(self) -> None:
        """Rewrite the file of varying rows, so that nothing erased stays in it."""

    async def close(self) -> None:
        """End with empty logs; jobs that wait are finished first."""


class Runner:
    """The store on disk, behind aiosqlite's threads."""

    def __init__(self, writer: DatabaseThread, reader: DatabaseThread, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[tuple[Job[Any], asyncio.Future[None]]] = deque()
        self._checkpoints: deque[tuple[Job[bool], asyncio.Future[None]]] = deque()
        self._drain_is_queued = False
        self._closing = False

    @classmethod
    async def open(cls, directory: Path, clock: Clock) -> "Runner":
        """Open and migrate the files in a directory; StoreError when they cannot be trusted."""
        writer = await DatabaseThread.start(partial(open_migrated, directory))
        try:
            reader = await DatabaseThread.start(partial(open_reader, directory))
        except BaseException:
            await writer.close()
            raise
        return cls(writer, reader, clock)

    async def write(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job in a transaction that it may share with others that wait."""
        if len(self._jobs) >= MOST_WAITING:
            raise StoreError("too many jobs wait for the database")
        return await self._queue(self._jobs, lambda conn: function(conn, *args, **kwargs))

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job on one snapshot."""
        self._refuse_when_closing()
        job = Job(lambda conn: function(conn, *args, **kwargs))
        await self._reader.run(job.run_reading)
        return job.outcome()

    async def checkpoint(self) -> bool:
        """Empty both logs; retries for CHECKPOINT_PATIENCE seconds while readers are in the way.

        Callers that wait for the writer at the same time share one checkpoint.
        """
        deadline = self._clock.monotonic() + CHECKPOINT_PATIENCE
        while not await self._queue(self._checkpoints, truncate_logs):
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(CHECKPOINT_PAUSE)
        return True

    async def vacuum(self) -> None:
        """Rewrite the file of varying rows."""
        self._refuse_when_closing()
        await self._writer.run(vacuum_varying)

    async def close(self) -> None:
        """Finish what waits, empty the logs, close both connections."""
        self._closing = True
        await self._reader.close()
        try:
            await self._writer.run(truncate_logs)
        finally:
            await self._writer.close()

    async def _queue(
        self,
        queue: deque[tuple[Job[T], asyncio.Future[None]]],
        function: Callable[[sqlite3.Connection], T],
    ) -> T:
        """Wait for the writer's next turn; the first to wait calls for that turn."""
        self._refuse_when_closing()
        job, done = Job(function), self._loop.create_future()
        queue.append((job, done))
        if not self._drain_is_queued:
            self._drain_is_queued = True
            await self._writer.run(self._drain)
        await done
        return job.outcome()

    def _drain(self, connection: sqlite3.Connection) -> None:
        """On the writer's thread: run all that waits by now.

        The flag goes down before the queues are read: a job that arrives in between calls for a
        turn of its own, so none is ever left waiting.
        """
        self._drain_is_queued = False
        jobs, checkpoints = _take_all(self._jobs), _take_all(self._checkpoints)
        try:
            run_batch(connection, [job for job, _ in jobs])
            run_shared(connection, [job for job, _ in checkpoints])
        finally:
            waiting = [done for _, done in (*jobs, *checkpoints)]
            self._loop.call_soon_threadsafe(_wake, waiting)

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise StoreError("the store is closed")


def open_migrated(directory: Path) -> sqlite3.Connection:
    """Open both files for writing, at this release's schema."""
    connection = open_writer(directory)
    try:
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _take_all(queue: deque[T]) -> list[T]:
    return [queue.popleft() for _ in range(len(queue))]


def _wake(waiting: Sequence[asyncio.Future[None]]) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(None)
