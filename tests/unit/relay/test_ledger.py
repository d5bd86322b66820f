"""What late wakers are told."""

from sipis.errors import StoreError
from sipis.model import CallState
from sipis.relay.finding import Found, by_number
from sipis.relay.ledger import MISSED_FOR, TOLD_FOR, Ledger
from tests.support.relay import House, turns

UUID = "0a0b0c0d-0000-5000-8000-000000000001"


async def found(house: House) -> Found:
    phone = await house.enable()
    one = await house.store.read(by_number, phone.n, house.clock.wall())
    assert one is not None
    return one


def ledger(house: House) -> Ledger:
    return Ledger(house.store, house.vault, house.clock, house.relay._supervisor.spawn)


async def test_another_process_knows_what_this_one_wrote(house: House) -> None:
    one = await found(house)
    first = ledger(house)
    entry = first.open(one, UUID, "Bob")
    first.record(entry, one, CallState.RINGING, ended=False)
    first.record(entry, one, CallState.ELSEWHERE, ended=True)
    await turns()
    view = await ledger(house).get(one.n, UUID.upper())
    assert view is not None
    assert (view.state, view.caller) == (CallState.ELSEWHERE, "Bob")


async def test_a_missed_call_is_told_longer_than_others(house: House) -> None:
    one = await found(house)
    book = ledger(house)
    for state, kept in ((CallState.DECLINED, TOLD_FOR), (CallState.MISSED, MISSED_FOR)):
        entry = book.open(one, UUID, None)
        book.record(entry, one, state, ended=True)
        assert entry.view.ended_at is not None
        assert entry.view.expires_at == entry.view.ended_at + kept


async def test_a_missed_call_keeps_no_later_one_in_memory(house: House) -> None:
    one = await found(house)
    book = ledger(house)
    for uuid, state in ((UUID, CallState.MISSED), (f"{UUID[:-1]}2", CallState.ANSWERED)):
        book.record(book.open(one, uuid, None), one, state, ended=True)
    await turns()
    await house.clock.advance(TOLD_FOR + 1)
    await book.purge()
    assert [call for _, call in book._recent] == [UUID]


async def test_a_store_that_is_down_costs_no_running_call(house: House) -> None:
    one = await found(house)
    book = ledger(house)
    house.store.write = _down  # type: ignore[method-assign,assignment]
    entry = book.open(one, UUID, None)
    book.record(entry, one, CallState.RINGING, ended=False)
    await turns()
    view = await book.get(one.n, UUID)
    assert view is not None
    assert view.state is CallState.RINGING


async def test_callers_lie_sealed_on_disk(house: House) -> None:
    one = await found(house)
    book = ledger(house)
    entry = book.open(one, UUID, "marker-name-31")
    book.record(entry, one, CallState.RINGING, ended=False, keepsake={"marker-dialog-31": 1})
    await turns()
    files = [path.read_bytes() for path in house.directory.iterdir() if path.is_file()]
    assert not [data for data in files if b"marker-name-31" in data or b"marker-dialog" in data]


async def _down(*_: object, **__: object) -> None:
    raise StoreError("down")
