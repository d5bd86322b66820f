import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sipis.clock import Alarm, ManualClock
from sipis.errors import FieldError, StoreError
from sipis.store import notes, runner
from sipis.store.connection import open_reader
from sipis.store.runner import Runner


class WatchedClock(ManualClock):
    """Tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = asyncio.Event()

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        alarm = super().call_at(when, callback)
        self.awaited.set()
        return alarm


@pytest.fixture
async def clock() -> WatchedClock:
    return WatchedClock()


@pytest.fixture
async def store(directory: Path, clock: WatchedClock) -> AsyncIterator[Runner]:
    opened = await Runner.open(directory, clock)
    yield opened
    await opened.close()


class Gate:
    """A job that stops the writer's thread until it is let go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self.reached = asyncio.Event()

    def __call__(self, conn: sqlite3.Connection) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self._open.wait(10)

    def let_go(self) -> None:
        self._open.set()


def files_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def spoil(directory: Path) -> None:
    directory.mkdir()
    (directory / "sipis.db").write_bytes(b"not a database at all" * 100)


async def test_what_was_written_is_read_back(store: Runner) -> None:
    await store.write(notes.put, "name", "value")
    assert await store.read(notes.get, "name") == "value"


async def test_jobs_that_wait_together_share_one_commit(store: Runner) -> None:
    statements: list[str] = []
    await store.write(lambda conn: conn.set_trace_callback(statements.append))
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(gate))
        await gate.reached.wait()
        waiting = [group.create_task(store.write(notes.put, str(i), "x")) for i in range(20)]
        await asyncio.sleep(0)
        statements.clear()
        gate.let_go()
    assert all(task.done() for task in waiting)
    assert statements.count("COMMIT") == 2


async def test_a_failing_job_raises_for_its_own_caller_only(store: Runner) -> None:
    def fail(conn: sqlite3.Connection) -> None:
        notes.put(conn, "half", "x")
        raise FieldError("ttl", "too long")

    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(gate))
        await gate.reached.wait()
        good = group.create_task(store.write(notes.put, "good", "x"))
        outcome = asyncio.gather(store.write(fail), return_exceptions=True)
        await asyncio.sleep(0)
        gate.let_go()
        errors = await outcome
    assert good.done()
    assert isinstance(errors[0], FieldError)
    assert await store.read(notes.get, "half") is None
    assert await store.read(notes.get, "good") == "x"


async def test_d18_a_cancelled_caller_leaves_no_half_transaction(store: Runner) -> None:
    """Cancelled before, during and after its turn: the job is whole, and the next ones work."""
    gate = Gate()
    first = asyncio.ensure_future(store.write(gate))
    await gate.reached.wait()
    second = asyncio.ensure_future(store.write(notes.put, "second", "x"))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    gate.let_go()
    await asyncio.gather(first, second, return_exceptions=True)
    assert first.cancelled()
    assert second.cancelled()
    await store.write(notes.put, "third", "x")
    assert await store.read(notes.get, "second") == "x"
    assert await store.read(notes.get, "third") == "x"


async def test_d18_a_concurrent_failure_never_takes_back_what_succeeded(store: Runner) -> None:
    def remove(conn: sqlite3.Connection, name: str) -> None:
        conn.execute("DELETE FROM varying.notes WHERE name = ?", (name,))

    def fail(conn: sqlite3.Connection) -> None:
        raise ValueError("a bug")

    await store.write(notes.put, "secret", "x")
    outcomes = await asyncio.gather(
        *(store.write(fail) for _ in range(5)),
        store.write(remove, "secret"),
        *(store.write(fail) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, ValueError) for one in outcomes) == 10
    assert await store.read(notes.get, "secret") is None


async def test_a_full_queue_refuses_instead_of_growing(
    store: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MOST_WAITING", 1)
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.write(gate))
        await gate.reached.wait()
        group.create_task(store.write(notes.put, "a", "x"))
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="too many"):
            await store.write(notes.put, "b", "x")
        gate.let_go()


async def test_a_read_cannot_change_anything(store: Runner) -> None:
    with pytest.raises(StoreError, match="READONLY"):
        await store.read(notes.put, "a", "x")


async def test_a_checkpoint_empties_the_logs(store: Runner, directory: Path) -> None:
    await store.write(notes.put, "a", "x")
    assert (directory / "varying.db-wal").stat().st_size > 0
    assert await store.checkpoint()
    assert (directory / "sipis.db-wal").stat().st_size == 0
    assert (directory / "varying.db-wal").stat().st_size == 0


async def test_a_checkpoint_comes_through_once_the_reader_in_its_way_ends(
    store: Runner, directory: Path, clock: WatchedClock
) -> None:
    reader = open_reader(directory)
    await store.write(notes.put, "a", "x")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM varying.notes").fetchall()
    await store.write(notes.put, "a", "y")
    checkpoint = asyncio.ensure_future(store.checkpoint())
    async with asyncio.timeout(10):
        await clock.awaited.wait()
    reader.close()
    await clock.advance(runner.CHECKPOINT_PAUSE)
    assert await checkpoint
    assert (directory / "varying.db-wal").stat().st_size == 0


async def test_a_checkpoint_gives_up_on_a_reader_that_stays(
    store: Runner, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_PATIENCE", 0.0)
    reader = open_reader(directory)
    await store.write(notes.put, "a", "x")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM varying.notes").fetchall()
    await store.write(notes.put, "a", "y")
    assert not await store.checkpoint()
    reader.close()


async def test_a_closed_store_leaves_clean_files_and_refuses_work(
    directory: Path, clock: WatchedClock
) -> None:
    store = await Runner.open(directory, clock)
    await store.write(notes.put, "a", "x")
    await store.close()
    assert files_in(directory) == {"sipis.db", "varying.db"}
    for work in (store.write(notes.put, "a", "x"), store.read(notes.get, "a"), store.checkpoint()):
        with pytest.raises(StoreError, match="closed"):
            await work


async def test_a_store_that_cannot_be_trusted_is_not_opened(
    directory: Path, clock: WatchedClock
) -> None:
    spoil(directory)
    with pytest.raises(StoreError, match="NOTADB"):
        await Runner.open(directory, clock)
