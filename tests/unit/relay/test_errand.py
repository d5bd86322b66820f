"""Requests inside a call to an app that changes networks before it has answered."""

from sipis.model import CallState
from sipis.relay.awaited import PATIENCE
from sipis.sip.flow import Door
from sipis.sip.message import Request, Response
from tests.support.relay import House, turns
from tests.support.sip_peers import ANSWER, OFFER, Caller, Handset

SDP = [("Content-Type", "application/sdp")]


class Talk:
    """A running call of a phone that can change its address; time stands still."""

    n: int
    caller: Caller
    handset: Handset
    sent: Request
    received: Request
    ok: Response

    def __init__(self, house: House) -> None:
        self.house = house

    async def begin(self) -> "Talk":
        phone = await self.house.enable()
        self.n = phone.n
        self.caller = await self.house.caller()
        self.handset = await self.house.handset(phone.n)
        await self.handset.register()
        self.sent = self.caller.invite(phone.contact)
        self.received = await self.handset.asked("INVITE")
        self.handset.respond(self.received, 200, SDP, ANSWER)
        self.ok = await self.caller.response(200)
        self.caller.within("ACK", self.sent, self.ok, cseq=1)
        await self.handset.asked("ACK")
        return self

    async def move(self) -> Handset:
        """The app comes from another address; the ACK, which nothing answers, comes once more."""
        moved = await self.house.handset(self.n)
        assert (await moved.register()).status == 200
        await moved.asked("ACK")
        return moved

    async def state(self) -> tuple[CallState, bool]:
        [view] = await self.house.relay.calls(self.n)
        return view.state, view.ended_at is not None


async def test_a_bye_that_went_to_the_old_address_reaches_the_new_one(house: House) -> None:
    talk = await Talk(house).begin()
    talk.caller.within("BYE", talk.sent, talk.ok)
    await talk.caller.response(200)
    lost = await talk.handset.asked("BYE")
    moved = await talk.move()
    again = await moved.asked("BYE")
    assert (again.call_id, again.cseq, again.to_tag) == (lost.call_id, lost.cseq, lost.to_tag)
    assert again.branch != lost.branch
    moved.respond(again, 200)
    assert await talk.state() == (CallState.ANSWERED, True)


async def test_an_offer_that_went_to_the_old_address_is_answered_from_the_new_one(
    house: House,
) -> None:
    talk = await Talk(house).begin()
    talk.caller.within("INVITE", talk.sent, talk.ok, headers=SDP, body=OFFER)
    await talk.handset.asked("INVITE")
    moved = await talk.move()
    again = await moved.asked("INVITE")
    assert again.body == OFFER
    moved.respond(again, 200, SDP, ANSWER)
    assert (await talk.caller.response(200)).body == ANSWER
    talk.caller.within("ACK", talk.sent, talk.ok, cseq=2)
    assert (await moved.asked("ACK")).cseq.number == again.cseq.number
    assert await talk.state() == (CallState.ANSWERED, False)


async def test_what_was_answered_is_not_sent_again(house: House) -> None:
    talk = await Talk(house).begin()
    talk.caller.within("INFO", talk.sent, talk.ok)
    talk.handset.respond(await talk.handset.asked("INFO"), 200)
    await talk.caller.response(200)
    moved = await talk.move()
    await turns()
    assert await moved.silence()


async def test_an_app_that_registers_again_where_it_is_gets_nothing_twice(house: House) -> None:
    talk = await Talk(house).begin()
    talk.caller.within("INFO", talk.sent, talk.ok)
    info = await talk.handset.asked("INFO")
    assert (await talk.handset.register()).status == 200
    assert await talk.handset.silence()
    talk.handset.respond(info, 200)
    await talk.caller.response(200)


async def test_an_app_that_has_begun_to_answer_is_not_disturbed(house: House) -> None:
    talk = await Talk(house).begin()
    talk.caller.within("INVITE", talk.sent, talk.ok, headers=SDP, body=OFFER)
    offer = await talk.handset.asked("INVITE")
    talk.handset.respond(offer, 180)
    await talk.caller.response(180)
    moved = await talk.move()
    await turns()
    assert await moved.silence()
    talk.handset.respond(offer, 200, SDP, ANSWER)
    assert (await talk.caller.response(200)).body == ANSWER


async def test_a_cancelled_offer_is_cancelled_where_it_went_last(house: House) -> None:
    talk = await Talk(house).begin()
    offer = talk.caller.within("INVITE", talk.sent, talk.ok, headers=SDP, body=OFFER)
    await talk.handset.asked("INVITE")
    moved = await talk.move()
    again = await moved.asked("INVITE")
    moved.respond(again, 180)
    await talk.caller.response(180)
    talk.caller.cancel(offer)
    assert (await moved.asked("CANCEL")).branch == again.branch


async def test_an_app_that_stays_away_ends_the_call(house: House) -> None:
    talk = await Talk(house).begin()
    await turns()
    house.peers.clear()
    await house.restart()
    await turns()
    house.peers += [talk.caller, talk.handset]
    talk.caller.goal = house.door(Door.PROVIDER)
    talk.caller.within("INFO", talk.sent, talk.ok)
    await turns()
    assert await talk.handset.silence()
    await house.clock.advance(PATIENCE)
    trying = await talk.caller.next()
    assert isinstance(trying, Response)
    assert trying.status == 100
    assert (await talk.caller.asked("BYE")).call_id == talk.sent.call_id


async def test_an_app_calls_the_other_side_from_its_new_address(house: House) -> None:
    talk = await Talk(house).begin()
    moved = await talk.move()
    moved.within("INVITE", talk.received, headers=SDP, body=OFFER)
    offer = await talk.caller.asked("INVITE")
    talk.caller.respond(offer, 200, SDP, ANSWER)
    assert (await moved.response(200)).body == ANSWER
    moved.within("ACK", talk.received, cseq=1)
    await talk.caller.asked("ACK")
    talk.caller.within("BYE", talk.sent, talk.ok, cseq=2)
    await talk.caller.response(200)
    assert (await moved.asked("BYE")).call_id == talk.received.call_id
    assert await talk.handset.silence()


async def test_an_app_that_offers_before_it_has_registered_hears_the_answer_afterwards(
    house: House,
) -> None:
    """To an address that nobody has shown to be his nothing larger is sent than came from there."""
    talk = await Talk(house).begin()
    moved = await house.handset(talk.n)
    moved.within("INVITE", talk.received, headers=SDP, body=OFFER)
    offer = await talk.caller.asked("INVITE")
    talk.caller.respond(offer, 200, SDP, ANSWER + b"a=x:" + b"y" * 500 + b"\r\n")
    await turns()
    assert await moved.silence()
    assert (await moved.register()).status == 200
    await moved.asked("ACK")
    await house.clock.advance(0.5)
    assert (await moved.response(200)).body.startswith(ANSWER)
