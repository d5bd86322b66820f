"""The provider's door: who may reach whom, and what everybody else gets."""

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from sipis.errors import StoreError
from sipis.model import PushEvent
from sipis.sip.flow import Transport
from sipis.sip.message import Request, Response
from sipis.store import gone, registrars
from sipis.store.columns import to_ms
from tests.support.relay import House, a_house, turns
from tests.support.sip_peers import REGISTRAR, Caller


def ask(caller: Caller, method: str, uri: str, to: str = f"<sip:alice@{REGISTRAR}>") -> Request:
    """A request that no call of ours began."""
    own = [
        ("From", f"<sip:bob@{REGISTRAR}>;tag=b"),
        ("To", to),
        ("Call-ID", f"{method}-1"),
        ("CSeq", f"7 {method}"),
        ("Contact", f"<sip:bob@{caller.hostport}>"),
    ]
    return caller.request(method, uri, own)


class TestFinding:
    async def test_the_user_part_of_our_contact_leads_to_the_instance(self, house: House) -> None:
        first, second = await house.enable(), await house.enable("sip:carol@provider.example")
        caller = await house.caller()
        caller.invite(second.contact)
        assert (await house.pushes.wait_for(PushEvent.CALL)).instance == second.id
        del first

    async def test_the_line_parameter_leads_there_too(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        token = phone.contact.removeprefix("sip:").partition("@")[0]
        caller.invite(f"sip:+4930123456@127.0.0.1;line={token}")
        assert (await house.pushes.wait_for(PushEvent.CALL)).instance == phone.id

    @pytest.mark.parametrize("named", ["To", "P-Called-Party-ID"])
    async def test_the_address_of_record_leads_there_within_its_provider(
        self, house: House, named: str
    ) -> None:
        phone = await house.enable()
        caller = await house.caller()
        if named == "To":
            caller.invite("sip:+4930123456@127.0.0.1")
        else:
            called = [(named, f"<sip:alice@{REGISTRAR}>")]
            caller.invite("sip:x@127.0.0.1", to="<sip:+4930@elsewhere>", headers=called)
        assert (await house.pushes.wait_for(PushEvent.CALL)).instance == phone.id

    async def test_two_phones_of_one_account_ring_each_by_its_own_fork(self, house: House) -> None:
        first, second = await house.enable(), await house.enable()
        caller = await house.caller()
        caller.invite(first.contact, branch="z9hG4bK-fork-1")
        caller.invite(second.contact, branch="z9hG4bK-fork-2")
        await caller.response(180)
        await caller.response(180)
        assert {push.instance for push in house.pushes.sent} == {first.id, second.id}
        assert len({push.call for push in house.pushes.sent}) == 2

    async def test_nobody_of_that_name_is_404_to_a_known_source(self, house: House) -> None:
        caller = await house.caller()
        caller.invite("sip:nobody@127.0.0.1", to="<sip:nobody@provider.example>")
        await caller.response(404)

    async def test_a_deleted_instance_is_480_as_long_as_its_registrar_may_call(
        self, house: House
    ) -> None:
        await house.enable()
        token = "ab" * 16
        await house.store.write(_leave_contact, token, house.clock.wall())
        caller = await house.caller()
        caller.invite(f"sip:{token}@127.0.0.1")
        await caller.response(480)


class TestStrangers:
    @pytest.mark.parametrize(
        "method", ["INVITE", "OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE", "BYE"]
    )
    async def test_over_udp_a_stranger_hears_nothing(self, house: House, method: str) -> None:
        phone = await house.enable()
        scanner = await house.caller("127.0.0.9")
        ask(scanner, method, phone.contact)
        await turns()
        assert await scanner.silence()
        assert house.pushes.sent == []
        counted = house.metrics.registry.get_sample_value(
            "sipis_foreign_requests_total", {"door": "provider"}
        )
        assert counted == 1

    async def test_a_stranger_inside_no_dialog_hears_nothing(self, house: House) -> None:
        scanner = await house.caller("127.0.0.9")
        ask(scanner, "BYE", "sip:x@127.0.0.1", "<sip:a@b>;tag=guess")
        await turns()
        assert await scanner.silence()
        known = await house.caller()
        ask(known, "BYE", "sip:x@127.0.0.1", "<sip:a@b>;tag=guess")
        await known.response(481)

    async def test_where_the_operator_trusts_tokens_the_source_does_not_matter(
        self, tmp_path: Path
    ) -> None:
        async with a_house(tmp_path, providers={REGISTRAR: {"inbound": "token"}}) as house:
            phone = await house.enable()
            caller = await house.caller("127.0.0.9")
            caller.invite(phone.contact)
            await caller.response(180)


class TestRefusing:
    async def test_options_are_answered_to_a_known_source(self, house: House) -> None:
        caller = await house.caller()
        ask(caller, "OPTIONS", "sip:127.0.0.1")
        assert "INVITE" in ((await caller.response(200)).headers.get("Allow") or "")

    @pytest.mark.parametrize(
        ("method", "status"),
        [("SUBSCRIBE", 405), ("REFER", 603), ("UPDATE", 481), ("PUBLISH", 405)],
    )
    async def test_what_has_no_place_outside_a_dialog_is_refused(
        self, house: House, method: str, status: int
    ) -> None:
        phone = await house.enable()
        caller = await house.caller()
        ask(caller, method, phone.contact)
        await caller.response(status)

    async def test_a_call_that_requires_reliable_provisionals_is_refused(
        self, house: House
    ) -> None:
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact, headers=[("Require", "100rel")])
        assert (await caller.response(420)).headers.get("Unsupported") == "100rel"
        assert house.pushes.sent == []

    async def test_a_call_that_comes_back_to_us_is_a_loop(self, house: House) -> None:
        phone = await house.enable()
        caller, handset = await house.caller(), await house.handset(phone.n)
        await handset.register()
        caller.invite(phone.contact)
        marker = (await handset.asked("INVITE")).headers.get("X-Sipis-Hop") or ""
        assert marker
        caller.invite(phone.contact, call_id="again", headers=[("X-Sipis-Hop", marker)])
        await caller.response(482)

    async def test_a_call_without_hops_left_is_refused(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact, headers=[("Max-Forwards", "0")])
        await caller.response(483)

    async def test_more_than_ten_calls_a_minute_do_not_reach_the_phone(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        house.pushes.accepts = False
        for number in range(10):
            caller.invite(phone.contact, call_id=f"call-{number}")
            await caller.response(480)
        pushed = house.pushes.events().count(PushEvent.CALL)
        assert pushed == 10
        caller.invite(phone.contact, call_id="one-too-many")
        assert (await caller.response(480)).headers.get("Retry-After")
        assert house.pushes.events().count(PushEvent.CALL) == 10
        await house.clock.advance(61)
        caller.inbox = type(caller.inbox)()
        caller.invite(phone.contact, call_id="a-minute-later")
        while house.pushes.events().count(PushEvent.CALL) < 11:
            await caller.next()

    async def test_a_phone_with_too_many_calls_is_busy(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        for number in range(8):
            caller.invite(phone.contact, call_id=f"call-{number}")
            await caller.response(180)
        caller.invite(phone.contact, call_id="ninth")
        await caller.response(486)

    async def test_a_replaced_call_that_is_not_ours_is_refused(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact, headers=[("Replaces", "x;to-tag=a;from-tag=b")])
        await caller.response(481)

    async def test_the_same_call_on_another_way_is_merged(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        caller.invite(phone.contact, branch="z9hG4bK-one")
        await caller.response(180)
        caller.invite(phone.contact, branch="z9hG4bK-two")
        await caller.response(482)
        assert house.pushes.events() == [PushEvent.CALL]

    async def test_a_store_that_is_down_asks_the_provider_to_come_back(self, house: House) -> None:
        phone = await house.enable()
        caller = await house.caller()
        real, house.store.read = house.store.read, _down  # type: ignore[method-assign,assignment]
        caller.invite(phone.contact)
        await caller.response(503)
        house.store.read = real  # type: ignore[method-assign]


def _leave_contact(conn: sqlite3.Connection, token: str, now: float) -> None:
    """What an erased instance leaves behind while its registrar holds the binding."""
    registrars.learn(conn, REGISTRAR, ["127.0.0.1"], now)
    left = {
        "contact_token": bytes.fromhex(token),
        "bound_until": to_ms(now + 60),
        "registrar": registrars.find(conn, REGISTRAR),
    }
    gone.remember_contact(conn, cast("sqlite3.Row", left), now)


async def _down(*_: object, **__: object) -> None:
    raise StoreError("down")


async def test_a_cancel_that_overtakes_the_look_up_still_ends_the_call(house: House) -> None:
    phone = await house.enable()
    caller = await house.caller()
    invite = caller.invite(phone.contact)
    caller.cancel(invite)
    statuses = []
    for _ in range(3):
        message = await caller.next()
        assert isinstance(message, Response)
        statuses.append(message.status)
    assert sorted(statuses) == [100, 200, 487]


async def test_udp_is_the_transport_of_these_tests(house: House) -> None:
    assert {one.transport for one in house.endpoint.listening} == {Transport.UDP}
