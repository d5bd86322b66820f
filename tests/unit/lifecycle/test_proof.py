import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from sipis.clock import ManualClock
from sipis.lifecycle import TooManyAttempts, proof
from sipis.lifecycle.proof import CODE_TTL, MOST_WRONG
from sipis.model import Account, PushEvent
from sipis.store import targets
from tests.support.lifecycle import House, build, running, settings
from tests.support.vault import TOKEN, VOIP


async def code_of(house: House) -> str:
    """The code in the last push."""
    await house.clock.advance(0.1)
    notification, _ = house.announcer.pushed[-1]
    assert notification.event is PushEvent.VERIFY
    return str(notification.payload["code"])


async def proven(house: House, n: int) -> list[bool]:
    return [row.verified for row in await house.store.read(targets.list_for, n)]


def hold_writes(house: House, seen: asyncio.Event) -> None:
    """Whoever writes that a code is awaited learns only after the event that it is written."""
    write: Callable[..., Awaitable[object]] = house.store.write

    async def held(function: Callable[..., object], *args: object, **kwargs: object) -> object:
        result = await write(function, *args, **kwargs)
        if function is proof._expect:
            await seen.wait()
        return result

    house.store.write = held  # type: ignore[method-assign, assignment]


async def test_the_code_from_the_push_proves_the_token_and_its_sibling(house: House) -> None:
    enabled = await house.enable()
    code = await code_of(house)
    assert await proven(house, enabled.row.n) == [False, False]
    assert await house.lifecycle.verify(enabled.row, code) is True
    assert await proven(house, enabled.row.n) == [True, True]


async def test_a_code_works_once_and_only_for_its_instance_and_hour(house: House) -> None:
    enabled = await house.enable()
    code = await code_of(house)
    other = await house.enable(targets=(TOKEN,), account=Account("sip:bob@example.org"))
    assert await house.lifecycle.verify(other.row, code) is False
    await house.clock.advance(CODE_TTL)
    assert await house.lifecycle.verify(enabled.row, code) is False


async def test_the_code_itself_is_not_on_disk(house: House) -> None:
    await house.enable()
    code = await code_of(house)
    assert code.encode() not in house.bytes_on_disk()
    assert bytes.fromhex(code) not in house.bytes_on_disk()


async def test_after_a_few_wrong_codes_the_right_one_is_void(house: House) -> None:
    enabled = await house.enable()
    code = await code_of(house)
    for _ in range(MOST_WRONG):
        assert await house.lifecycle.verify(enabled.row, "guess") is False
    assert await house.lifecycle.verify(enabled.row, code) == TooManyAttempts()
    assert await proven(house, enabled.row.n) == [False, False]


async def test_a_guess_counts_even_if_it_overtakes_what_sends_the_code(house: House) -> None:
    seen = asyncio.Event()
    hold_writes(house, seen)
    enabled = await house.enable()
    assert await house.lifecycle.verify(enabled.row, "guess") is False
    seen.set()
    code = await code_of(house)
    for _ in range(MOST_WRONG - 1):
        assert await house.lifecycle.verify(enabled.row, "guess") is False
    assert await house.lifecycle.verify(enabled.row, code) == TooManyAttempts()


async def test_another_code_comes_with_a_refresh_once_the_first_has_run_out(house: House) -> None:
    enabled = await house.enable()
    first = await code_of(house)
    await house.lifecycle.refresh(enabled.row, None, None)
    assert await code_of(house) == first
    assert len(house.announcer.pushed) == 1
    await house.clock.advance(CODE_TTL)
    await house.lifecycle.refresh(enabled.row, None, None)
    second = await code_of(house)
    assert second != first
    assert await house.lifecycle.verify(enabled.row, second) is True


async def test_a_pushkit_token_alone_gets_no_push_and_is_proven_by_its_app(house: House) -> None:
    enabled = await house.enable(targets=(VOIP,))
    await house.clock.advance(1)
    assert house.announcer.pushed == []
    await house.lifecycle.app_registered(enabled.row.n, enabled.row.id)
    assert await proven(house, enabled.row.n) == [True]


async def test_an_app_that_wants_no_proof_gets_no_push(tmp_path: Path) -> None:
    chosen = settings(tmp_path, require_verification=False)
    async with running(build(tmp_path / "data", ManualClock(), chosen)) as house:
        await house.enable()
        await house.clock.advance(1)
        assert house.announcer.pushed == []
