import asyncio
import threading
from functools import partial

import pytest

from sipis.errors import VaultError
from sipis.vault.commit import GroupCommit


class Disk:
    """Counts syncs; holds the first one until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.syncs = 0
        self.go = threading.Event()
        self.failure: OSError | None = None
        if not held:
            self.go.set()

    def sync(self) -> None:
        assert self.go.wait(5)
        self.syncs += 1
        if self.failure is not None:
            raise self.failure


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_concurrent_jobs_share_one_sync() -> None:
    disk = Disk(held=True)
    commits = GroupCommit(disk.sync)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(commits.run(partial(int, i))) for i in range(100)]
        await settled()
        disk.go.set()
    commits.close()
    assert [task.result() for task in tasks] == list(range(100))
    assert disk.syncs <= 2


async def test_nothing_is_answered_before_it_is_durable() -> None:
    disk = Disk(held=True)
    commits = GroupCommit(disk.sync)
    done = threading.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(commits.run(done.set))
        await settled()
        assert await asyncio.to_thread(done.wait, 5)
        await settled()
        assert not task.done()
        disk.go.set()
    commits.close()
    assert task.done()


async def test_a_failing_job_fails_alone() -> None:
    commits = GroupCommit(Disk().sync)

    def fail() -> None:
        raise KeyError("mine")

    results = await asyncio.gather(
        commits.run(lambda: 1), commits.run(fail), commits.run(lambda: 2), return_exceptions=True
    )
    commits.close()
    assert results[0] == 1
    assert isinstance(results[1], KeyError)
    assert results[2] == 2


@pytest.mark.parametrize("inline", [False, True])
async def test_a_disk_that_cannot_sync_fails_every_job_of_the_batch(inline: bool) -> None:
    disk = Disk()
    disk.failure = OSError(5, "Input/output error")
    commits = GroupCommit(disk.sync, inline=inline)
    with pytest.raises(VaultError, match="Input/output"):
        await commits.run(lambda: 1)
    disk.failure = None
    assert await commits.run(lambda: 2) == 2
    commits.close()


async def test_a_cancelled_caller_does_not_stop_its_job() -> None:
    disk = Disk(held=True)
    commits = GroupCommit(disk.sync)
    done = threading.Event()
    first = asyncio.ensure_future(commits.run(lambda: None))
    second = asyncio.ensure_future(commits.run(done.set))
    await settled()
    second.cancel()
    await settled()
    disk.go.set()
    await first
    assert await asyncio.to_thread(done.wait, 5)
    assert await commits.run(lambda: 3) == 3
    commits.close()


async def test_inline_everything_happens_before_the_first_await() -> None:
    disk = Disk()
    commits = GroupCommit(disk.sync, inline=True)
    threads: list[int] = []
    await commits.run(lambda: threads.append(threading.get_ident()))
    commits.close()
    assert threads == [threading.get_ident()]
    assert disk.syncs == 1
