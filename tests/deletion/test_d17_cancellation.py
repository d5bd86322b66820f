"""D17: whoever asked for the deletion may go at any moment: no credential lives a second after."""

import asyncio

from sipis.clock import ManualClock
from tests.support.lifecycle import House


async def cancelled_after(turns: int, task: "asyncio.Task[object]", clock: ManualClock) -> bool:
    """Cancel after so many turns of the loop; False when it was done by then."""
    for _ in range(turns):
        if task.done():
            return False
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await clock.advance(1.0)
    return task.cancelled()


async def test_d17_cancelling_at_every_await_of_delete_leaves_no_live_credential(
    house: House,
) -> None:
    turns, interrupted = 1, 0
    while True:
        enabled = await house.enable()
        async with asyncio.TaskGroup() as group:
            task: asyncio.Task[object] = group.create_task(
                house.lifecycle.disable(enabled.row.id, enabled.secret)
            )
            await asyncio.sleep(0)  # the request has come: it was read
            was_cancelled = await cancelled_after(turns, task, house.clock)
        assert not house.vault.holds(enabled.row), f"cancelled after {turns} turns"
        assert await house.row(enabled) is None
        assert await house.lifecycle.receipt(enabled.row.commitment) is not None
        interrupted += was_cancelled
        if not was_cancelled:
            break
        turns += 1
    assert interrupted > 3
