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


async def test_those_who_want_the_same_keys_in_any_order_get_them_one_after_the_other() -> None:
    locks, inside = KeyedLocks(), []

    async def enter(name: str, *keys: int) -> None:
        async with locks.holding_all(keys):
            inside.append(f"+{name}")
            await asyncio.sleep(0)
            inside.append(f"-{name}")

    async with asyncio.timeout(10):
        await asyncio.gather(enter("a", 1, 2, 3), enter("b", 3, 2, 1), enter("c", 2), enter("d", 9))
    inside = [it for it in inside if it[1] != "d"]
    assert [it[0] for it in inside] == ["+", "-"] * 3
    assert not locks._locks


async def test_who_is_cancelled_while_it_waits_for_one_lets_go_of_the_others() -> None:
    locks = KeyedLocks()
    async with locks.holding(2), asyncio.TaskGroup() as group:
        waiting = group.create_task(locks.holding_all([1, 2]).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    assert not locks._locks
