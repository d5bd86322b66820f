"""Group commit: jobs that change the key slots run on one thread, and many share one fdatasync.

Refuses to block the loop, to answer before the change is durable, and to stop half-way: a caller
who is cancelled leaves its job running.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sipis.errors import VaultError

T = TypeVar("T")
Settle = Callable[[OSError | None], None]
"""Tells the caller of a job how it went, on the loop; given what the sync ran into."""


class GroupCommit:
    """One writer; jobs that arrive while it is at work form the next batch."""

    def __init__(self, sync: Callable[[], None], *, inline: bool = False) -> None:
        self._sync = sync
        self._inline = inline
        self._waiting: list[Callable[[], Settle]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vault")
        self._working = False

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job and return its result once it is durable; VaultError when the disk fails."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(lambda: _attempt(job, outcome))
        if not self._working:
            self._start()
        return await asyncio.shield(outcome)

    def close(self) -> None:
        """Finish what is at work and end the thread."""
        self._thread.shutdown()

    def _start(self) -> None:
        batch, self._waiting = self._waiting, []
        if self._inline:
            _settle(*self._commit(batch))
            return
        self._working = True
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, batch)
        done.add_done_callback(self._finish)

    def _commit(self, batch: list[Callable[[], Settle]]) -> tuple[list[Settle], OSError | None]:
        settles = [attempt() for attempt in batch]
        try:
            self._sync()
        except OSError as failure:
            return settles, failure
        return settles, None

    def _finish(self, done: asyncio.Future[tuple[list[Settle], OSError | None]]) -> None:
        self._working = False
        _settle(*done.result())
        if self._waiting:
            self._start()


def _attempt(job: Callable[[], T], outcome: asyncio.Future[T]) -> Settle:
    try:
        result = job()
    except Exception as failure:  # whatever it is, it belongs to the one who asked
        return _failed(outcome, failure)
    return lambda unsynced: _succeed(outcome, result, unsynced)


def _failed(outcome: asyncio.Future[T], failure: Exception) -> Settle:
    def settle(_: OSError | None) -> None:
        if not outcome.done():
            outcome.set_exception(failure)

    return settle


def _succeed(outcome: asyncio.Future[T], result: T, unsynced: OSError | None) -> None:
    if outcome.done():
        return
    if unsynced is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(VaultError(f"the key slots cannot be written: {unsynced.strerror}"))


def _settle(settles: list[Settle], unsynced: OSError | None) -> None:
    for settle in settles:
        settle(unsynced)
