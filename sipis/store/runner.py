"""Runs jobs: one writer and one reader, each on a thread of its own, so that the loop never waits.

    await store.write(instances.insert, new)        one transaction on the writer
    await store.read(lookup.by_id, id, now)         one snapshot on the reader

A caller that is cancelled only stops waiting: its job commits or rolls back whole. Refuses single
statements from outside: half of a transaction must have no place to be.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import aiosqlite

from sipis.clock import Clock
from sipis.errors import StoreError
from sipis.store.batch import Job, as_ours, run_batch
from sipis.store.connection import SCHEMAS, open_reader, open_writer
from sipis.store.migrate import migrate

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
        job: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job in a transaction; its result once that is on disk."""

    async def read(
        self,
        job: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job that changes nothing, on one snapshot."""

    async def checkpoint(self) -> bool:
        """Move all commits into the files and empty the logs; False when a reader was in the way."""

    async def vacuum(self) -> None:
        """Rewrite the file of varying rows, so that nothing erased stays in it."""

    async def close(self) -> None:
        """End with clean files."""


class Runner:
    """The store on disk, behind aiosqlite's threads."""

    def __init__(self, writer: "Thread", reader: "Thread", clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._waiting: deque[tuple[Job[Any], asyncio.Future[None]]] = deque()
        self._drain_is_queued = False
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, directory: Path, clock: Clock) -> "Runner":
        """Open and migrate the files in a directory; StoreError when they cannot be trusted."""
        writer = await Thread.start(partial(_open_and_migrate, directory))
        try:
            reader = await Thread.start(partial(open_reader, directory))
        except BaseException:
            await writer.close()
            raise
        return cls(writer, reader, clock)
