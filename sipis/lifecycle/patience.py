"""Time limits on the injected clock, and work that its caller cannot interrupt.

Refuses half-done work: a caller that is cancelled leaves its job running to the end.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

from sipis.clock import Clock
from sipis.errors import StoreError
from sipis.observe.supervisor import Supervisor

T = TypeVar("T")


@asynccontextmanager
async def limit(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Cancel the block after that many seconds and raise TimeoutError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        deadline = clock.monotonic() + seconds
        alarm = clock.call_at(deadline, lambda: scope.reschedule(loop.time()))
        try:
            yield
        finally:
            alarm.cancel()


async def to_the_end(jobs: Supervisor, name: str, work: Coroutine[object, object, T]) -> T:
    """Run the work as a job of its own and wait for it; StoreError when too many are running."""
    outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    if not jobs.spawn(name, _settle(work, outcome)):
        work.close()
        raise StoreError("too much is under way")
    return await asyncio.shield(outcome)


async def _settle(work: Coroutine[object, object, T], outcome: asyncio.Future[T]) -> None:
    try:
        result = await work
    except Exception as failure:  # whatever it is, it belongs to the one who asked
        outcome.set_exception(failure)
        outcome.exception()  # the asker may be gone; what happened is counted where it happened
    except BaseException:
        outcome.cancel()
        raise
    else:
        outcome.set_result(result)
