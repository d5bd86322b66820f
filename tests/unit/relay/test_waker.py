"""Which push tells a phone what."""

import pytest

from sipis.config import parse
from sipis.model import PushEvent
from sipis.relay.finding import Found, by_number
from sipis.relay.waker import Tidings, Waker
from sipis.store import instances
from sipis.store.instances import Replacement
from sipis.store.targets import NewTarget
from sipis.vault.records import Targets
from tests.support.relay import ALERT, VOIP, House

CALL = Tidings(PushEvent.CALL, 20.0, call="a-call", sender="Bob", urgent=True)


def waker(house: House, **app: object) -> Waker:
    return Waker(
        announcer=house.pushes,
        store=house.store,
        vault=house.vault,
        clock=house.clock,
        settings=parse({"apps": {"phone": app}}),
        node="node-1",
    )


async def found(house: House, n: int) -> Found:
    one = await house.store.read(by_number, n, house.clock.wall())
    assert one is not None
    return one


async def test_a_push_says_which_call_on_which_node_and_until_when(house: House) -> None:
    phone = await house.enable()
    assert await waker(house).tell(await found(house, phone.n), CALL)
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
    await waker(house).tell(await found(house, phone.n), CALL)
    assert house.pushes.sent[0].payload.get("from") == shown


async def test_targets_without_proof_get_nothing_unless_the_operator_allows_it(
    house: House,
) -> None:
    phone = await house.enable(verified=False)
    one = await found(house, phone.n)
    assert not await waker(house).tell(one, CALL)
    assert await waker(house, require_verification=False).tell(one, CALL)


async def test_a_phone_that_was_sealed_anew_meanwhile_is_still_told(house: House) -> None:
    phone = await house.enable()
    before = await found(house, phone.n)
    resealed = await house.vault.readmit(before.sealed, targets=Targets((VOIP, ALERT)))
    rows = tuple(
        NewTarget(row.index, row.provider, row.kind, row.environment) for row in before.targets
    )
    new = Replacement(resealed.slot, resealed.version, resealed.credential, resealed.targets, rows)
    await house.store.write(instances.replace, phone.n, new, house.clock.wall())
    await house.vault.destroy([before.row])
    assert await waker(house).tell(before, CALL)


async def test_a_destroyed_phone_is_told_nothing(house: House) -> None:
    phone = await house.enable()
    before = await found(house, phone.n)
    await house.vault.destroy([before.row])
    assert not await waker(house).tell(before, CALL)
    assert house.pushes.sent == []
