import asyncio

from sipis.lifecycle.locks import KeyedLocks


async def test_one_key_is_held_by_one_and_others_are_free() -> None:
    locks, inside = KeyedLocks(), []

    async def enter(key: str, name: str) -> None:
        async with locks.holding(key):
            inside.append(f"+{name}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            inside.append(f"-{name}")

    await asyncio.gather(enter("a", "1"), enter("a", "2"), enter("b", "3"))
    assert inside.index("-1") < inside.index("+2")
    assert inside.index("+3") < inside.index("-1")


async def test_nothing_is_kept_when_all_have_left_or_were_cancelled() -> None:
    locks = KeyedLocks()
    async with locks.holding("a"), asyncio.TaskGroup() as group:
        waiting = group.create_task(locks.holding("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    assert not locks._locks
