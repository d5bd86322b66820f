"""What a restart does to calls."""

import asyncio
from dataclasses import dataclass

import pytest

from sipis.model import CallState, PushEvent
from sipis.relay.keepsake import Keepsake
from sipis.relay.ledger import PURPOSE, Ledger
from sipis.relay.recovery import GRACE, LONGEST_WAIT, RINGS_ON
from sipis.sip.flow import Door
from sipis.sip.message import Request, Response
from sipis.store import calls
from tests.support.relay import House, Phone, turns
from tests.support.sip_peers import ANSWER, Caller, Handset


async def ringing_over_a_crash(house: House) -> tuple[Phone, Caller, Request]:
    """A phone that rings, its caller, who notices nothing of the crash, and the INVITE."""
    phone, caller = await house.enable(), await house.caller()
    invite = caller.invite(phone.contact)
    await caller.response(180)
    await turns()
    house.peers.clear()
    await house.restart()
    house.peers.append(caller)
    caller.goal = house.door(Door.PROVIDER)
    return phone, caller, invite


async def test_a_call_that_rang_a_moment_ago_rings_on_and_can_be_answered(house: House) -> None:
    phone, caller, invite = await ringing_over_a_crash(house)
    again = await house.pushes.wait_for(PushEvent.CALL)
    handset = await house.handset(phone.n)
    await handset.register()
    asked = await handset.asked("INVITE")
    assert asked.headers.get("X-Push-Call-ID") == again.call
    assert asked.body == invite.body
    handset.respond(asked, 200, [], ANSWER)
    ok = await caller.final()
    assert (ok.status, ok.branch) == (200, invite.branch)
    caller.within("ACK", invite, ok, cseq=1)
    await handset.asked("ACK")
    await house.clock.advance(GRACE)
    assert house.pushes.events() == [PushEvent.CALL]


async def test_a_caller_can_still_give_up_a_call_that_rings_on(house: House) -> None:
    phone, caller, invite = await ringing_over_a_crash(house)
    await house.pushes.wait_for(PushEvent.CALL)
    caller.cancel(invite)
    assert (await caller.final()).status == 487
    [view] = await house.relay.calls(phone.n)
    assert view.state is CallState.CANCELLED


async def test_no_invite_outlives_the_ringing_of_its_call(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    invite = caller.invite(phone.contact)
    await caller.response(180)
    await turns()
    [[found, _, kept]] = await house.relay._ledger.unfinished()
    assert kept is not None
    assert invite.call_id in str(kept)
    caller.cancel(invite)
    assert (await caller.final()).status == 487
    await turns()
    [row] = await house.store.read(calls.list_for, phone.n, house.clock.wall())
    plain = house.vault.open_content(found.row, PURPOSE, row.call, row.sealed)
    assert invite.call_id.encode() not in plain


async def test_what_is_left_of_a_call_that_cannot_be_read_ends_it(house: House) -> None:
    phone = await house.enable()
    found, ledger = await house.found(phone.n), house.relay._ledger
    origin: list[object] = ["udp", "127.0.0.1", 5060]
    leftovers: list[Keepsake] = [{"invite": 1, "origin": origin}, {"origin": origin}, {}]
    for n, broken in enumerate(leftovers):
        entry = ledger.open(found, f"00000000-0000-5000-8000-00000000000{n}", None)
        ledger.record(entry, found, CallState.RINGING, ended=False, keepsake=broken)
    await turns()
    await house.restart()
    await house.clock.advance(GRACE)
    await turns()
    assert house.pushes.events() == [PushEvent.CALL_ENDED] * 3


async def test_a_call_that_rang_too_long_ago_is_missed_and_its_phone_told(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    call = house.pushes.sent[0].call or ""
    await turns()
    house.clock.jump(RINGS_ON + 1)
    await house.restart()
    await turns()
    await house.clock.advance(GRACE)
    assert (await house.pushes.wait_for(PushEvent.CALL_ENDED)).call == call
    view = await house.relay.call(phone.n, call)
    assert view is not None
    assert view.state is CallState.MISSED
    assert view.caller == "Bob"


async def test_an_invite_that_the_provider_repeats_then_is_one_more_of_the_same(
    house: House,
) -> None:
    _, caller, invite = await ringing_over_a_crash(house)
    await house.pushes.wait_for(PushEvent.CALL)
    await caller.response(180)
    caller.send(invite)
    await caller.response(180)
    assert house.pushes.events() == [PushEvent.CALL]


@dataclass(frozen=True)
class Talk:
    """A running call: its phone, both ends, both INVITEs, and the 200 that the caller got."""

    phone: Phone
    caller: Caller
    handset: Handset
    received: Request
    sent: Request
    ok: Response


async def talking(house: House) -> Talk:
    phone, caller = await house.enable(), await house.caller()
    handset = await house.handset(phone.n)
    await handset.register()
    sent = caller.invite(phone.contact)
    received = await handset.asked("INVITE")
    handset.respond(received, 200, [], ANSWER)
    ok = await caller.response(200)
    caller.within("ACK", sent, ok, cseq=1)
    await handset.asked("ACK")
    await turns()
    return Talk(phone, caller, handset, received, sent, ok)


async def crash(house: House, talk: Talk) -> None:
    """The server ends and starts; its peers notice nothing."""
    house.peers.clear()
    await house.restart()
    house.peers += [talk.caller, talk.handset]
    talk.caller.goal, talk.handset.goal = house.door(Door.PROVIDER), house.door(Door.APP)


async def test_a_call_that_was_answered_can_be_ended_by_either_side(house: House) -> None:
    talk = await talking(house)
    await crash(house, talk)
    await turns()
    await talk.handset.register()
    talk.caller.within("BYE", talk.sent, talk.ok)
    await talk.caller.response(200)
    bye = await talk.handset.asked("BYE")
    assert bye.call_id == talk.received.call_id
    assert bye.cseq.number > 1000
    [view] = await house.relay.calls(talk.phone.n)
    assert view.state is CallState.ANSWERED
    assert view.ended_at is not None


async def test_who_hangs_up_before_the_calls_are_taken_up_is_heard_once_they_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, read, taken_up = await talking(house), Ledger.unfinished, asyncio.Event()

    async def slowly(ledger: Ledger) -> object:
        await taken_up.wait()
        return await read(ledger)

    monkeypatch.setattr(Ledger, "unfinished", slowly)
    await crash(house, talk)
    await talk.handset.register()
    talk.caller.within("BYE", talk.sent, talk.ok)
    await turns()
    taken_up.set()
    await talk.caller.response(200)
    await talk.handset.asked("BYE")


async def test_nobody_waits_long_for_calls_that_cannot_be_taken_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = await talking(house)

    async def never(_: Ledger) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Ledger, "unfinished", never)
    await crash(house, talk)
    talk.caller.within("BYE", talk.sent, talk.ok)
    await turns()
    await house.clock.advance(LONGEST_WAIT)
    await talk.caller.response(481)


async def test_a_call_whose_instance_is_gone_is_forgotten(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    await turns()
    await house.clock.advance(1)
    house.clock.jump(86_400)
    await house.restart()
    await turns()
    assert house.pushes.sent == []
