"""Which push tells a phone what."""

import pytest

from sipis.config import parse
from sipis.model import PushEvent
from sipis.relay.waker import Tidings, Waker
from tests.support.relay import House

CALL = Tidings(PushEvent.CALL, 20.0, call="a-call", sender="Bob", urgent=True)


def waker(house: House, **app: object) -> Waker:
    return Waker(
        announcer=house.pushes,
        store=house.store,
        vault=house.vault,
        clock=house.clock,
        settings=parse({"api": {"node": "node-1"}, "apps": {"phone": app}}),
    )


async def test_a_push_says_which_call_on_which_node_and_until_when(house: House) -> None:
    phone = await house.enable()
    assert await waker(house).tell(await house.found(phone.n), CALL)
    [push] = house.pushes.sent
    assert push.deadline == house.clock.monotonic() + 20
    assert push.payload["node"] == "node-1"
    assert push.payload["call"] == "a-call"
    assert push.payload["deadline"] == int(house.clock.wall() + 20)
    assert "from" not in push.payload


@pytest.mark.parametrize(("preview", "shown"), [(True, "Bob"), (False, None)])
async def test_the_caller_is_in_clear_only_where_the_app_asked_for_it(
    house: House, preview: bool, shown: str | None
) -> None:
    phone = await house.enable(preview=preview)
    await waker(house).tell(await house.found(phone.n), CALL)
    assert house.pushes.sent[0].payload.get("from") == shown


async def test_targets_without_proof_get_nothing_unless_the_operator_allows_it(
    house: House,
) -> None:
    phone = await house.enable(verified=False)
    one = await house.found(phone.n)
    assert not await waker(house).tell(one, CALL)
    assert await waker(house, require_verification=False).tell(one, CALL)


async def test_a_phone_that_was_sealed_anew_meanwhile_is_still_told(house: House) -> None:
    phone = await house.enable()
    before = await house.reseal(phone.n)
    assert await waker(house).tell(before, CALL)


async def test_a_destroyed_phone_is_told_nothing(house: House) -> None:
    phone = await house.enable()
    before = await house.found(phone.n)
    await house.vault.destroy([before.row])
    assert not await waker(house).tell(before, CALL)
    assert house.pushes.sent == []
