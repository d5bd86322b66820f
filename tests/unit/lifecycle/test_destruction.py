import asyncio

import pytest

from sipis.errors import KeyGone
from sipis.lifecycle import Deleted, destruction
from sipis.model import DeletionReason, PushEvent, PushService, PushTarget, TargetKind
from sipis.store import erasure, gone, lookup, receipts, slots
from tests.support.lifecycle import House, full_disk


async def sealed_of(house: House, n: int) -> lookup.Sealed:
    sealed = await house.store.read(lookup.sealed, n, house.clock.wall())
    assert sealed is not None
    return sealed


def note_erasures(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    original = erasure.erase

    def erase(*args: object, **kwargs: object) -> object:
        house.journal.append("row erased")
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(erasure, "erase", erase)


async def test_d6_a_deletion_takes_its_steps_in_the_one_order(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()
    house.journal.clear()
    house.note("key destroyed", house.vault, "destroy")
    house.note("logs emptied", house.store, "checkpoint")
    note_erasures(house, monkeypatch)
    await house.lifecycle.disable(enabled.row.id, enabled.secret)
    assert house.journal == [
        "farewells written",
        "key destroyed",
        "row erased",
        "logs emptied",
        "farewells sent",
    ]


async def test_after_the_answer_nothing_opens_and_nothing_of_the_row_is_left(house: House) -> None:
    enabled = await house.enable()
    row, sealed = enabled.row, await sealed_of(house, enabled.row.n)
    deleted = await house.lifecycle.disable(row.id, enabled.secret)
    assert deleted is not None
    assert not deleted.pending
    with pytest.raises(KeyGone):
        house.vault.open_account(sealed)
    assert await house.row(enabled) is None
    on_disk = house.bytes_on_disk()
    for trace in (sealed.credential, sealed.targets, bytes.fromhex(row.contact_token)):
        assert trace not in on_disk
    assert await house.store.read(slots.owed) == []
    assert house.registrations.sent == [f"farewell {row.n}"]


async def test_d6_with_row_erasure_failing_the_key_is_dead_and_the_row_goes_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()
    sealed = await sealed_of(house, enabled.row.n)
    monkeypatch.setattr(house.store, "write", full_disk)
    monkeypatch.setattr(house.store, "checkpoint", full_disk)
    deleted = await house.lifecycle.disable(enabled.row.id, enabled.secret)
    assert deleted is not None
    assert deleted.pending
    with pytest.raises(KeyGone):
        house.vault.open_account(sealed)
    assert await house.row(enabled) is not None
    monkeypatch.undo()
    await house.clock.advance(60)
    assert await house.row(enabled) is None
    assert await house.lifecycle.receipt(enabled.row.commitment) == deleted.receipt


async def test_a_receipt_that_waits_for_the_database_stays_the_one_that_was_given_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a repeated DELETE nor the deadline that passes meanwhile makes a later end of it."""
    enabled = await house.enable(ttl=240.0)
    monkeypatch.setattr(house.store, "write", full_disk)
    first = await house.lifecycle.disable(enabled.row.id, enabled.secret)
    assert await house.lifecycle.find(enabled.row.id, enabled.secret) is None
    await house.clock.advance(120)
    assert await house.lifecycle.disable(enabled.row.id, enabled.secret) == first
    await house.clock.advance(240)
    monkeypatch.undo()
    await house.clock.advance(60)
    assert first is not None
    assert await house.row(enabled) is None
    assert await house.lifecycle.receipt(enabled.row.commitment) == first.receipt


async def test_a_removed_app_whose_rows_cannot_be_erased_is_not_ended_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()
    monkeypatch.setattr(house.store, "write", full_disk)
    async with asyncio.timeout(10):
        assert await house.lifecycle.remove_app(enabled.row.app) == 1
    assert not house.vault.holds(enabled.row)


async def test_the_receipt_opens_with_what_the_app_got_and_tells_a_whole_minute(
    house: House,
) -> None:
    enabled = await house.enable()
    deleted = await house.lifecycle.disable(enabled.row.id, enabled.secret)
    assert deleted is not None
    assert deleted.receipt.commitment == enabled.opening.commitment
    assert deleted.receipt.reason is DeletionReason.DISABLED
    assert deleted.receipt.destroyed_at % 60 == 0
    assert await house.lifecycle.receipt(enabled.opening.commitment) == deleted.receipt
    assert await house.lifecycle.receipt(bytes(32)) is None


async def test_d16_a_repeated_delete_gets_the_same_receipt_for_a_day(house: House) -> None:
    enabled = await house.enable()
    first = await house.lifecycle.disable(enabled.row.id, enabled.secret)
    await house.clock.advance(3600)
    assert await house.lifecycle.disable(enabled.row.id, enabled.secret) == first
    assert await house.lifecycle.disable(enabled.row.id, "wrong") is None
    house.clock.jump(86_400)
    stone = await house.store.read(gone.by_id, enabled.row.id, house.clock.wall())
    assert stone is None


async def test_deletes_at_the_same_time_agree_on_one_receipt(house: House) -> None:
    enabled = await house.enable()
    row, secret = enabled.row, enabled.secret
    answers = await asyncio.gather(
        house.lifecycle.disable(row.id, secret),
        house.lifecycle.delete(row.id),
        house.lifecycle.disable(row.id, secret),
    )
    assert None not in answers
    kept = await house.lifecycle.receipt(row.commitment)
    assert {answer.receipt for answer in answers if answer} == {kept}


async def test_d17_a_caller_who_goes_away_does_not_stop_the_deletion(house: House) -> None:
    for turns in range(12):
        enabled = await house.enable()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(house.lifecycle.disable(enabled.row.id, enabled.secret))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        await house.clock.advance(1)
        begun = turns > 1
        assert not begun or not house.vault.holds(enabled.row)


async def test_last_words_that_take_too_long_do_not_keep_the_key_alive(house: House) -> None:
    enabled = await house.enable()
    house.registrations.stuck = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(house.lifecycle.disable(enabled.row.id, enabled.secret))
        await house.clock.advance(0.5)
        assert house.vault.holds(enabled.row)
        await house.clock.advance(0.6)
    assert isinstance(task.result(), Deleted)
    assert not house.vault.holds(enabled.row)
    assert house.registrations.sent == []


async def test_a_key_that_cannot_be_overwritten_leaves_the_row_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()

    async def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(house.vault, "destroy", broken)
    with pytest.raises(OSError, match="Input/output"):
        await house.lifecycle.disable(enabled.row.id, enabled.secret)
    monkeypatch.undo()
    assert await house.row(enabled) is not None
    assert house.registrations.barred == set()
    assert await house.lifecycle.disable(enabled.row.id, enabled.secret) is not None


async def test_a_key_that_moved_while_its_row_was_being_erased_dies_as_well(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()
    stale = enabled.row
    renewed = await house.lifecycle.refresh(stale, None, ())
    assert renewed is not None
    await house.lifecycle._destruction.destroy([stale], DeletionReason.ADMIN)
    assert renewed.slot != stale.slot
    assert not house.vault.holds(renewed)
    assert await house.store.read(slots.owed) == []


@pytest.mark.parametrize("step", ["readmit", "destroy"])
async def test_d5_no_key_of_a_sealing_under_way_outlives_the_answer(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Sealed anew, it has two cells for a moment: the new one without a row, or the old one."""
    enabled = await house.enable()
    original, reached, go = getattr(house.vault, step), asyncio.Event(), asyncio.Event()

    async def slow(*args: object, **kwargs: object) -> object:
        result = await original(*args, **kwargs) if step == "readmit" else None
        if not reached.is_set():
            reached.set()
            await go.wait()
        return result or await original(*args, **kwargs)

    monkeypatch.setattr(house.vault, step, slow)
    other = PushTarget(PushService.FCM, TargetKind.TOKEN, "another-token")
    async with asyncio.TaskGroup() as group:
        group.create_task(house.lifecycle.refresh(enabled.row, None, (other,)))
        await reached.wait()
        deleting = group.create_task(house.lifecycle.disable(enabled.row.id, enabled.secret))
        for _ in range(50):
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(go.set)
        assert await deleting is not None
        cells = (house.directory / "slots").read_bytes()
        assert bytes.fromhex(enabled.row.id) not in cells


async def test_the_operator_deletes_without_the_secret_and_whole_apps(house: House) -> None:
    one, two = await house.enable(), await house.enable(targets=())
    deleted = await house.lifecycle.delete(one.row.id)
    assert deleted is not None
    assert deleted.receipt.reason is DeletionReason.ADMIN
    assert await house.lifecycle.delete(one.row.id) is None
    assert await house.lifecycle.remove_app(two.row.app) == 1
    receipt = await house.lifecycle.receipt(two.row.commitment)
    assert receipt is not None
    assert receipt.reason is DeletionReason.APP_REMOVED


async def test_only_an_app_that_did_not_ask_for_the_end_is_told(house: House) -> None:
    disabled = await house.enable()
    await house.lifecycle.disable(disabled.row.id, disabled.secret)
    await house.enable(ttl=60.0)
    await house.clock.advance(62)
    events = house.announcer.events()
    assert events.count(PushEvent.EXPIRED) == 1


async def test_d8_thousands_die_together_keys_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destruction, "ROWS_AT_ONCE", 50)
    rows = [(await house.enable(targets=(), ttl=60.0)).row for _ in range(120)]
    house.journal.clear()
    house.note("keys destroyed", house.vault, "destroy")
    note_erasures(house, monkeypatch)
    await house.clock.advance(61)
    assert house.journal[:5] == [
        "farewells written",
        "keys destroyed",
        "row erased",
        "row erased",
        "row erased",
    ]
    assert not any(house.vault.holds(row) for row in rows)
    assert await house.store.read(slots.expired_holders, house.clock.wall(), 1) == []
    stored = [await house.store.read(receipts.get, row.commitment) for row in rows[::40]]
    assert all(receipt and receipt.reason == "expired" for receipt in stored)
