"""What a restart does to calls."""

from sipis.model import CallState, PushEvent
from tests.support.relay import House, turns
from tests.support.sip_peers import ANSWER


async def test_a_call_that_rang_is_missed_and_its_phone_told(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    call = house.pushes.sent[0].call or ""
    await turns()
    await house.restart()
    assert (await house.pushes.wait_for(PushEvent.CALL_ENDED)).call == call
    view = await house.relay.call(phone.n, call)
    assert view is not None
    assert view.state is CallState.MISSED
    assert view.caller == "Bob"


async def test_an_invite_repeated_after_a_restart_rings_under_the_same_uuid(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    call = house.pushes.sent[0].call
    await turns()
    await house.restart()
    caller = await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    assert (await house.pushes.wait_for(PushEvent.CALL)).call == call


async def test_a_call_that_was_answered_can_be_ended_by_either_side(house: House) -> None:
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
    house.peers.clear()
    await house.restart()
    await turns()
    house.peers += [caller, handset]
    caller.goal, handset.goal = _doors(house)
    await handset.register()
    caller.within("BYE", sent, ok)
    await caller.response(200)
    bye = await handset.asked("BYE")
    assert bye.call_id == received.call_id
    assert bye.cseq.number > 1000
    [view] = await house.relay.calls(phone.n)
    assert view.state is CallState.ANSWERED
    assert view.ended_at is not None


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


def _doors(house: House) -> tuple[tuple[str, int], tuple[str, int]]:
    from sipis.sip.flow import Door

    return house.door(Door.PROVIDER), house.door(Door.APP)
