"""Instances that are sealed anew while somebody holds their old row."""

from dataclasses import replace

import pytest

from sipis.errors import KeyGone, VaultError
from sipis.relay.finding import Found
from sipis.relay.fresh import with_fresh
from sipis.store import messages
from tests.support.relay import House
from tests.support.sip_peers import REGISTRAR


async def test_what_was_read_before_is_read_again(house: House) -> None:
    phone = await house.enable()
    before = await house.reseal(phone.n)
    sealed = await with_fresh(
        house.store, house.clock.wall(), before,
        lambda one: house.vault.seal_content(one.row, "call", "item", b"content"),
    )  # fmt: skip
    after = await house.found(phone.n)
    assert after.row.slot != before.row.slot
    assert house.vault.open_content(after.row, "call", "item", sealed) == b"content"


async def test_a_slot_that_was_freed_and_taken_again_does_not_deceive(house: House) -> None:
    phone = await house.enable()
    before = await house.reseal(phone.n)
    await house.reseal(phone.n)
    after = await house.found(phone.n)
    same_slot = replace(before, row=replace(before.row, slot=after.row.slot))
    targets = await with_fresh(
        house.store, house.clock.wall(), same_slot,
        lambda one: house.vault.open_targets(one.sealed),
    )  # fmt: skip
    assert targets.targets


async def test_a_row_that_opens_is_not_read_again(house: House) -> None:
    phone = await house.enable()
    found = await house.found(phone.n)
    asked: list[Found] = []
    await with_fresh(house.store, house.clock.wall(), found, asked.append)
    assert asked == [found]


async def test_a_record_that_is_broken_stays_shut(house: House) -> None:
    phone = await house.enable()
    found = await house.found(phone.n)
    with pytest.raises(VaultError):
        await with_fresh(
            house.store, house.clock.wall(), found,
            lambda one: house.vault.open_content(one.row, "call", "item", b"broken" * 20),
        )  # fmt: skip


async def test_an_instance_that_has_ended_is_gone(house: House) -> None:
    phone = await house.enable()
    found = await house.found(phone.n)
    await house.vault.destroy([found.row])
    with pytest.raises(KeyGone):
        await with_fresh(
            house.store, house.clock.wall(), found,
            lambda one: house.vault.open_targets(one.sealed),
        )  # fmt: skip


async def test_messages_are_delivered_to_a_phone_that_is_sealed_anew_meanwhile(
    house: House,
) -> None:
    phone, caller = await house.enable(), await house.caller()
    number = next(caller._numbers)
    caller.request("MESSAGE", phone.contact, [
        ("From", f"<sip:bob@{REGISTRAR}>;tag=b"),
        ("To", f"<sip:alice@{REGISTRAR}>"),
        ("Call-ID", f"message-{number}"),
        ("CSeq", "7 MESSAGE"),
    ], b"hello")  # fmt: skip
    await caller.response(202)
    before = await house.reseal(phone.n)
    handset = await house.handset(phone.n)
    await handset.register()
    assert (await handset.asked("MESSAGE")).body == b"hello"
    [row] = await house.store.read(messages.list_for, phone.n, house.clock.wall())
    letter = await house.relay._courier.read(before, row)
    assert letter is not None
    assert letter.body == b"hello"
