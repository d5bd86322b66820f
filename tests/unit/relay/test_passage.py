"""What passes between the legs of a running call, and what does not."""

from sipis.sip.message import Request, Response
from tests.support.relay import House
from tests.support.sip_peers import ANSWER, OFFER, Caller, Handset

SDP = [("Content-Type", "application/sdp")]
Talk = tuple[Caller, Handset, Request, Request, Response]


async def talking(house: House) -> Talk:
    """A call that was answered and acknowledged."""
    phone = await house.enable()
    caller, handset = await house.caller(), await house.handset(phone.n)
    await handset.register()
    sent = caller.invite(phone.contact)
    received = await handset.asked("INVITE")
    handset.respond(received, 200, SDP, ANSWER)
    ok = await caller.response(200)
    caller.within("ACK", sent, ok, cseq=1)
    await handset.asked("ACK")
    return caller, handset, sent, received, ok


class TestReInvite:
    async def test_it_passes_with_its_answer_and_its_acknowledgement(self, house: House) -> None:
        caller, handset, sent, received, ok = await talking(house)
        caller.within("INVITE", sent, ok, headers=SDP, body=OFFER)
        again = await handset.asked("INVITE")
        assert again.call_id == received.call_id
        assert again.cseq.number == received.cseq.number + 1
        assert again.body == OFFER
        assert again.max_forwards == 69
        handset.respond(again, 200, SDP, ANSWER)
        answered = await caller.response(200)
        assert answered.body == ANSWER
        caller.within("ACK", sent, ok, cseq=2)
        ack = await handset.asked("ACK")
        assert ack.cseq.number == again.cseq.number

    async def test_it_passes_from_the_app_too(self, house: House) -> None:
        caller, handset, sent, received, _ = await talking(house)
        handset.within("INVITE", received, headers=SDP, body=OFFER)
        again = await caller.asked("INVITE")
        assert again.call_id == sent.call_id
        caller.respond(again, 200, SDP, ANSWER)
        await handset.response(200)
        handset.within("ACK", received, cseq=1)
        assert (await caller.asked("ACK")).cseq.number == again.cseq.number

    async def test_a_refused_offer_leaves_the_call_as_it_was(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("INVITE", sent, ok, headers=SDP, body=OFFER)
        handset.respond(await handset.asked("INVITE"), 488)
        await caller.response(488)
        await handset.asked("ACK")
        caller.within("INFO", sent, ok, cseq=3)
        handset.respond(await handset.asked("INFO"), 200)
        await caller.response(200)

    async def test_offers_from_both_sides_at_once_are_told_apart(self, house: House) -> None:
        caller, handset, sent, received, ok = await talking(house)
        caller.within("INVITE", sent, ok, headers=SDP, body=OFFER)
        await handset.asked("INVITE")
        handset.within("INVITE", received, headers=SDP, body=OFFER)
        await handset.response(491)

    async def test_a_second_offer_of_the_same_side_is_put_off(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("INVITE", sent, ok, headers=SDP, body=OFFER)
        await handset.asked("INVITE")
        caller.within("UPDATE", sent, ok, cseq=3, headers=SDP, body=OFFER)
        assert (await caller.response(500)).headers.get("Retry-After")

    async def test_a_cancelled_offer_is_cancelled_on_the_other_leg(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        again = caller.within("INVITE", sent, ok, headers=SDP, body=OFFER)
        offered = await handset.asked("INVITE")
        handset.respond(offered, 180)
        await caller.response(180)
        names = ("Via", "From", "To", "Call-ID")
        copied = [(name, again.headers.get(name) or "") for name in names]
        cseq = [("CSeq", "2 CANCEL"), ("Max-Forwards", "70")]
        caller.send(Request.build("CANCEL", again.uri_text, [*copied, *cseq]))
        handset.respond(await handset.asked("CANCEL"), 200)
        handset.respond(offered, 487)
        await caller.response(200)
        await caller.response(487)

    async def test_an_acknowledgement_that_never_comes_ends_the_call(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("INVITE", sent, ok, headers=SDP, body=OFFER)
        handset.respond(await handset.asked("INVITE"), 200, SDP, ANSWER)
        await caller.response(200)
        await house.clock.advance(33)
        assert await _ends(caller)
        assert await _ends(handset)


class TestOthers:
    async def test_digits_pass_in_info(self, house: House) -> None:
        caller, handset, _, received, _ = await talking(house)
        body = b"Signal=5\r\nDuration=160\r\n"
        relay = [("Content-Type", "application/dtmf-relay")]
        handset.within("INFO", received, headers=relay, body=body)
        info = await caller.asked("INFO")
        assert info.body == body
        caller.respond(info, 200)
        await handset.response(200)

    async def test_session_refreshes_pass_with_their_headers(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        refresh = [("Session-Expires", "1800;refresher=uac"), ("Supported", "timer, 100rel")]
        caller.within("UPDATE", sent, ok, headers=refresh)
        update = await handset.asked("UPDATE")
        assert update.headers.get("Session-Expires") == "1800;refresher=uac"
        assert update.supported == {"timer"}

    async def test_a_transfer_names_the_replaced_call_as_the_provider_knows_it(
        self, house: House
    ) -> None:
        caller, handset, sent, received, ok = await talking(house)
        replaces = f"{received.call_id}%3Bto-tag%3D{received.from_.tag}%3Bfrom-tag%3Dpeer-tag"
        target = [("Refer-To", f"<sip:carol@provider.example?Replaces={replaces}>")]
        handset.within("REFER", received, headers=target)
        refer_to = (await caller.asked("REFER")).headers.get("Refer-To") or ""
        assert f"{sent.call_id}%3Bto-tag%3Dcaller%3Bfrom-tag%3D{ok.to.tag}" in refer_to

    async def test_a_challenge_inside_a_call_never_meets_credentials(self, house: House) -> None:
        caller, handset, _, received, _ = await talking(house)
        handset.within("INFO", received)
        challenge = 'Digest realm="provider.example", nonce="n", algorithm=MD5'
        caller.respond(await caller.asked("INFO"), 401, [("WWW-Authenticate", challenge)])
        refused = await handset.response(403)
        assert "WWW-Authenticate" not in refused.headers
        assert await caller.silence()

    async def test_what_a_relay_cannot_carry_is_refused(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("PUBLISH", sent, ok)
        assert (await caller.response(405)).headers.get("Allow")
        caller.within("INFO", sent, ok, cseq=3, headers=[("Require", "x-unheard-of")])
        refused = await caller.response(420)
        assert refused.headers.get("Unsupported") == "x-unheard-of"
        assert await handset.silence()

    async def test_a_request_out_of_order_is_refused(self, house: House) -> None:
        caller, _, sent, _, ok = await talking(house)
        caller.within("INFO", sent, ok, cseq=1)
        await caller.response(500)

    async def test_a_leg_that_knows_no_dialog_any_more_ends_the_call(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("INFO", sent, ok)
        handset.respond(await handset.asked("INFO"), 481)
        assert await _ends(caller)

    async def test_a_subscription_that_ended_leaves_the_call_alone(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("NOTIFY", sent, ok, headers=[("Event", "refer")])
        handset.respond(await handset.asked("NOTIFY"), 481)
        await caller.response(481)
        assert await caller.silence()


async def _ends(peer: Caller | Handset) -> bool:
    """Whether the peer is told BYE, whatever else comes before it."""
    while True:
        message = await peer.next()
        if isinstance(message, Request) and message.method == "BYE":
            return True
