"""Whole calls over real sockets: two dialogs, one call."""

import pytest

from sipis.model import CallState, PushEvent
from sipis.sip.message import Request, Response
from tests.support.relay import House, Phone, turns
from tests.support.sip_peers import ANSWER, OFFER, Caller, Handset


async def ringing(
    house: House, **invite: object
) -> tuple[Phone, Caller, Handset, Request, Request]:
    """A call that rings at an app which woke up for it."""
    phone = await house.enable()
    caller, handset = await house.caller(), await house.handset(phone.n)
    sent = caller.invite(phone.contact, **invite)  # type: ignore[arg-type]
    await caller.response(180)
    assert (await handset.register()).status == 200
    received = await handset.asked("INVITE")
    await caller.response(180)
    return phone, caller, handset, sent, received


async def talking(
    house: House, **invite: object
) -> tuple[Caller, Handset, Request, Request, Response]:
    """A call that was answered and acknowledged."""
    _, caller, handset, sent, received = await ringing(house, **invite)
    handset.respond(received, 200, [("Content-Type", "application/sdp")], ANSWER)
    ok = await caller.response(200)
    caller.within("ACK", sent, ok, cseq=1)
    await handset.asked("ACK")
    return caller, handset, sent, received, ok


class TestRinging:
    async def test_a_sleeping_phone_is_pushed_and_the_caller_hears_ringing(
        self, house: House
    ) -> None:
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact)
        assert isinstance(trying := await caller.next(), Response)
        assert trying.status == 100
        alerted = await caller.response(180)
        assert alerted.headers.get("X-Sipis-Push-Status") == "Push-Notification-Sent"
        assert alerted.body == b""
        [push] = house.pushes.sent
        assert push.event is PushEvent.CALL
        assert push.instance == phone.id
        assert push.payload["call"] == push.call

    async def test_the_app_gets_the_invite_on_its_flow_with_the_uuid_of_the_push(
        self, house: House
    ) -> None:
        _, _, _, sent, received = await ringing(house, headers=[("X-Unknown", "stays; as=is")])
        assert received.headers.get("X-Push-Call-ID") == house.pushes.sent[0].call
        assert received.call_id != sent.call_id
        assert received.from_.tag != sent.from_.tag
        assert str(received.from_.uri) == str(sent.from_.uri)
        assert received.from_.display == "Bob"
        assert received.headers.get("X-Unknown") == "stays; as=is"
        assert received.max_forwards == 69
        assert received.body == OFFER

    async def test_the_caller_learns_nothing_of_the_app_but_its_answer(self, house: House) -> None:
        _, caller, handset, _, received = await ringing(house)
        handset.respond(received, 183, [("Content-Type", "application/sdp")], ANSWER)
        handset.respond(received, 200, [("Content-Type", "application/sdp")], ANSWER)
        ok = await caller.response(200)
        assert ok.body == ANSWER
        assert handset.hostport not in ok.to_bytes().decode()

    async def test_a_connected_app_rings_without_a_push(self, house: House) -> None:
        phone = await house.enable()
        caller, handset = await house.caller(), await house.handset(phone.n)
        await handset.register()
        caller.invite(phone.contact)
        received = await handset.asked("INVITE")
        handset.respond(received, 180)
        progress = await caller.response(180)
        assert progress.headers.get("X-Sipis-Push-Status") == "Device-Making-Progress"
        assert house.pushes.sent == []

    async def test_a_connected_app_that_stays_silent_is_pushed_after_a_second(
        self, house: House
    ) -> None:
        phone = await house.enable()
        caller, handset = await house.caller(), await house.handset(phone.n)
        await handset.register()
        caller.invite(phone.contact)
        await handset.asked("INVITE")
        await house.clock.advance(1.1)
        await house.pushes.wait_for(PushEvent.CALL)

    async def test_a_flow_that_was_quiet_for_long_is_not_trusted_alone(self, house: House) -> None:
        phone = await house.enable()
        caller, handset = await house.caller(), await house.handset(phone.n)
        await handset.register()
        await house.clock.advance(31)
        caller.invite(phone.contact)
        await handset.asked("INVITE")
        await house.pushes.wait_for(PushEvent.CALL)

    async def test_an_app_that_registers_three_times_gets_one_invite(self, house: House) -> None:
        phone, _, handset, _, received = await ringing(house)
        handset.respond(received, 180)
        await handset.register()
        second = await house.handset(phone.n)
        await second.register()
        assert await handset.silence()
        assert await second.silence()

    async def test_a_newer_flow_gets_the_invite_when_the_first_stays_silent(
        self, house: House
    ) -> None:
        phone, _, _, _, first = await ringing(house)
        cellular = await house.handset(phone.n)
        await cellular.register()
        assert await cellular.silence()
        await house.clock.advance(1.1)
        again = await cellular.asked("INVITE")
        assert again.headers.get("X-Push-Call-ID") == first.headers.get("X-Push-Call-ID")

    async def test_an_answer_on_the_flow_that_was_given_up_is_ended(self, house: House) -> None:
        phone, caller, handset, _, first = await ringing(house)
        cellular = await house.handset(phone.n)
        await cellular.register()
        await house.clock.advance(1.1)
        again = await cellular.asked("INVITE")
        handset.inbox = type(handset.inbox)()
        handset.respond(first, 200, [], ANSWER)
        await handset.asked("ACK")
        await handset.asked("BYE")
        cellular.respond(again, 200, [], ANSWER)
        await caller.response(200)

    async def test_without_progress_headers_nothing_of_ours_reaches_the_provider(
        self, house: House
    ) -> None:
        house.settings = house.settings.model_copy(
            update={"sip": house.settings.sip.model_copy(update={"progress_headers": False})}
        )
        await house.restart()
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact)
        assert "X-Sipis" not in (await caller.response(180)).to_bytes().decode()
        await house.clock.advance(21)
        while (message := await caller.next()) and isinstance(message, Response):
            assert "X-Sipis" not in message.to_bytes().decode()
            if message.status >= 200:
                break


class TestEnding:
    async def test_nobody_reacts_and_the_caller_is_told_why(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact)
        await caller.response(180)
        await house.clock.advance(20.1)
        refused = await caller.response(480)
        assert refused.headers.get("X-Sipis-Reason") == "No-Response-From-Device"
        ended = await house.pushes.wait_for(PushEvent.CALL_ENDED)
        assert ended.call == house.pushes.sent[0].call

    async def test_when_every_push_fails_the_caller_is_told_at_once(self, house: House) -> None:
        house.pushes.accepts = False
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact)
        await caller.response(480)

    async def test_a_phone_whose_push_got_no_answer_may_still_wake(self, house: House) -> None:
        house.pushes.answers = False
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact)
        await house.pushes.wait_for(PushEvent.CALL)
        await turns()
        handset = await house.handset(phone.n)
        await handset.register()
        handset.respond(await handset.asked("INVITE"), 200, [], ANSWER)
        assert (await caller.final()).status == 200

    async def test_a_phone_without_proven_targets_is_not_pushed(self, house: House) -> None:
        phone = await house.enable(verified=False)
        caller = await house.caller()
        caller.invite(phone.contact)
        await caller.response(480)
        assert house.pushes.sent == []

    async def test_a_cancel_that_comes_at_once_pushes_nothing_that_rings(
        self, house: House
    ) -> None:
        phone = await house.enable()
        caller = await house.caller()
        invite = caller.invite(phone.contact)
        caller.cancel(invite)
        seen = {(await caller.next()).start_line().split()[1] for _ in range(3)}
        assert seen == {"100", "200", "487"}
        assert PushEvent.CALL not in house.pushes.events()

    @pytest.mark.parametrize(
        ("reason", "expected"),
        [
            ("", CallState.CANCELLED),
            ('SIP;cause=200;text="Call completed elsewhere"', CallState.ELSEWHERE),
            ("SIP;cause=603", CallState.DECLINED),
            ("Q.850;cause=26", CallState.ELSEWHERE),
        ],
    )
    async def test_a_late_waker_hears_why_the_call_ended(
        self, house: House, reason: str, expected: CallState
    ) -> None:
        phone = await house.enable()
        caller = await house.caller()
        invite = caller.invite(phone.contact)
        await caller.response(180)
        caller.cancel(invite, [("Reason", reason)] if reason else [])
        await caller.response(200)
        await caller.response(487)
        uuid = house.pushes.sent[0].call
        assert uuid is not None
        view = await house.relay.call(phone.n, uuid)
        assert view is not None
        assert view.state is expected
        await house.pushes.wait_for(PushEvent.CALL_ENDED)

    async def test_an_app_that_connects_after_the_cancel_does_not_ring(self, house: House) -> None:
        phone = await house.enable()
        caller, handset = await house.caller(), await house.handset(phone.n)
        invite = caller.invite(phone.contact)
        await caller.response(180)
        caller.cancel(invite)
        await caller.response(200)
        await caller.response(487)
        await handset.register()
        assert await handset.silence()

    async def test_the_cancel_of_a_ringing_app_carries_the_reason(self, house: House) -> None:
        _, caller, handset, sent, received = await ringing(house)
        handset.respond(received, 180)
        await turns()
        caller.cancel(sent, [("Reason", "SIP;cause=200")])
        cancel = await handset.asked("CANCEL")
        assert cancel.headers.get("Reason") == "SIP;cause=200"

    async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(
        self, house: House
    ) -> None:
        _, caller, handset, sent, received = await ringing(house)
        handset.respond(received, 180)
        await turns()
        caller.cancel(sent)
        await handset.asked("CANCEL")
        handset.respond(received, 200, [], ANSWER)
        await handset.asked("ACK")
        await handset.asked("BYE")
        await caller.response(200)
        await caller.response(487)

    async def test_a_cancel_from_another_host_leaves_the_call_ringing(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        invite = caller.invite(phone.contact)
        await caller.response(180)
        house.sources.hosts.add("127.0.0.2")
        forger = await house.caller("127.0.0.2")
        forger.cancel(invite)
        await turns()
        uuid = house.pushes.sent[0].call or ""
        view = await house.relay.call(phone.n, uuid)
        assert view is not None
        assert view.state is CallState.RINGING

    async def test_a_person_who_declines_makes_the_caller_hear_busy(self, house: House) -> None:
        _, caller, handset, _, received = await ringing(house)
        handset.respond(received, 603)
        await caller.response(486)

    async def test_what_the_app_cannot_do_reaches_the_caller(self, house: House) -> None:
        _, caller, handset, _, received = await ringing(house)
        handset.respond(received, 488, [("Warning", '305 app "Incompatible media format"')])
        refused = await caller.response(488)
        assert refused.headers.get("Warning") == '305 app "Incompatible media format"'

    async def test_an_invite_that_comes_again_rings_though_the_app_never_took_the_first_back(
        self, house: House
    ) -> None:
        phone, caller, handset, sent, first = await ringing(house)
        caller.cancel(sent)
        await caller.response(200)
        caller.acknowledge(sent, await caller.response(487))
        await house.clock.advance(6)
        caller.invite(phone.contact)
        while (again := await handset.asked("INVITE")).call_id == first.call_id:
            pass
        assert again.headers.get("X-Push-Call-ID") == first.headers.get("X-Push-Call-ID")
        handset.respond(again, 180)
        await caller.response(180)


class TestTalking:
    async def test_a_late_offer_is_answered_in_the_acknowledgement(self, house: House) -> None:
        _, caller, handset, sent, received = await ringing(house, body=b"")
        assert received.body == b""
        handset.respond(received, 200, [("Content-Type", "application/sdp")], OFFER)
        ok = await caller.response(200)
        assert ok.body == OFFER
        sdp = [("Content-Type", "application/sdp")]
        caller.within("ACK", sent, ok, cseq=1, headers=sdp, body=ANSWER)
        assert (await handset.asked("ACK")).body == ANSWER

    async def test_the_caller_hangs_up(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        caller.within("BYE", sent, ok, headers=[("Reason", "Q.850;cause=16")])
        await caller.response(200)
        bye = await handset.asked("BYE")
        assert bye.headers.get("Reason") == "Q.850;cause=16"
        handset.respond(bye, 200)

    async def test_the_app_hangs_up(self, house: House) -> None:
        caller, handset, sent, received, _ = await talking(house)
        handset.within("BYE", received)
        await handset.response(200)
        bye = await caller.asked("BYE")
        assert bye.call_id == sent.call_id
        assert bye.to.tag == "caller"

    async def test_a_bye_before_the_ack_ends_the_app_properly(self, house: House) -> None:
        _, caller, handset, sent, received = await ringing(house)
        handset.respond(received, 200, [], ANSWER)
        ok = await caller.response(200)
        caller.within("BYE", sent, ok)
        await handset.asked("ACK")
        await handset.asked("BYE")

    async def test_an_acknowledgement_that_never_comes_ends_both_legs(self, house: House) -> None:
        _, caller, handset, _, received = await ringing(house)
        handset.respond(received, 200, [], ANSWER)
        await caller.response(200)
        await house.clock.advance(33)
        await handset.asked("ACK")
        await handset.asked("BYE")
        while isinstance(message := await caller.next(), Response):
            assert message.status == 200
        assert isinstance(message, Request)
        assert message.method == "BYE"

    async def test_a_bye_with_a_wrong_tag_changes_nothing(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        stranger = Request.build("INVITE", "sip:x", [("From", "<sip:bob@x>;tag=guessed")])
        forged = [("Call-ID", sent.call_id), ("To", ok.headers.get("To") or "")]
        for name, value in forged:
            stranger.headers.add(name, value)
        caller.within("BYE", stranger, ok)
        await caller.response(481)
        assert await handset.silence()

    async def test_the_provider_leg_survives_the_end_of_the_registration(
        self, house: House
    ) -> None:
        caller, handset, sent, _, ok = await talking(house)
        await handset.register(expires=0)
        caller.within("INFO", sent, ok, headers=[("Content-Type", "application/dtmf-relay")])
        info = await handset.asked("INFO")
        handset.respond(info, 200)
        await caller.response(200)

    async def test_the_longest_call_is_ended(self, house: House) -> None:
        caller, handset, *_ = await talking(house)
        await house.clock.advance(12 * 3600 + 1)
        await handset.asked("BYE")
        await caller.asked("BYE")


class TestLooking:
    async def test_keys_of_media_never_leave_over_an_unencrypted_leg(self, house: House) -> None:
        line = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\n"
        _, caller, handset, _, received = await ringing(house, body=OFFER + line)
        assert b"crypto" not in received.body
        handset.respond(received, 200, [("Content-Type", "application/sdp")], ANSWER + line)
        assert b"crypto" not in (await caller.response(200)).body

    async def test_replaced_dialogs_are_named_as_the_app_knows_them(self, house: House) -> None:
        caller, handset, sent, received, ok = await talking(house)
        replaces = f"{sent.call_id};to-tag={ok.to.tag};from-tag=caller"
        caller.invite(sent.uri_text, call_id="call-2", headers=[("Replaces", replaces)])
        second = await handset.asked("INVITE")
        assert second.headers.get("Replaces") == (
            f"{received.call_id};to-tag=peer-tag;from-tag={received.from_.tag}"
        )

    async def test_a_call_that_replaces_another_rings_no_phone(self, house: House) -> None:
        caller, handset, sent, _, ok = await talking(house)
        pushes = house.pushes.events().count(PushEvent.CALL)
        await house.clock.advance(31)
        replaces = f"{sent.call_id};to-tag={ok.to.tag};from-tag=caller"
        caller.invite(sent.uri_text, call_id="call-2", headers=[("Replaces", replaces)])
        handset.respond(await handset.asked("INVITE"), 100)
        await turns()
        assert house.pushes.events().count(PushEvent.CALL) == pushes


@pytest.mark.parametrize(("headers", "pushes"), [([], 0), ([("Path", "<sip:127.0.0.1;lr>")], 1)])
async def test_the_100_of_a_proxy_says_nothing_about_the_app_behind_it(
    house: House, headers: list[tuple[str, str]], pushes: int
) -> None:
    phone, caller = await house.enable(), await house.caller()
    handset = await house.handset(phone.n)
    await handset.register(headers=headers)
    caller.invite(phone.contact)
    received = await handset.asked("INVITE")
    handset.respond(received, 100)
    await turns()
    await house.clock.advance(1)
    await turns()
    assert house.pushes.events().count(PushEvent.CALL) == pushes


async def test_the_time_from_push_to_wake_is_measured(house: House) -> None:
    await ringing(house)
    measured = house.metrics.registry.get_sample_value("sipis_push_to_wake_seconds_count")
    assert measured == 1
