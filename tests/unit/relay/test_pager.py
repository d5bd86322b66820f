"""Text messages: stored before they are answered, delivered once."""

import asyncio
from pathlib import Path

import pytest

from sipis.errors import StoreError
from sipis.model import PushEvent
from sipis.sip.message import Request
from tests.support.relay import ALERT, House, Phone, a_house, turns
from tests.support.sip_peers import PATIENCE, REGISTRAR, Caller

CPIM = (
    b"From: <sip:bob@provider.example>\r\nTo: <sip:alice@provider.example>\r\n"
    b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk324j\r\n\r\n"
    b"Content-Type: text/plain\r\n\r\nHello"
)
RECEIPT = CPIM.replace(b"text/plain\r\n\r\nHello", b"message/imdn+xml\r\n\r\n<imdn/>")


def text(
    caller: Caller,
    phone: Phone,
    body: bytes = b"Hello",
    *,
    call_id: str = "message-1",
    content: str = "text/plain;charset=UTF-8",
    branch: str | None = None,
    uri: str = "",
) -> Request:
    own = [
        ("From", f'"Bob" <sip:bob@{REGISTRAR}>;tag=b'),
        ("To", f"<sip:alice@{REGISTRAR}>"),
        ("Call-ID", call_id),
        ("CSeq", "7 MESSAGE"),
        ("Content-Type", content),
        ("X-Thread", "42"),
    ]
    return caller.request("MESSAGE", uri or phone.contact, own, body, branch)


class TestKeeping:
    async def test_a_message_is_kept_answered_and_pushed(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        text(caller, phone)
        await caller.response(202)
        push = await house.pushes.wait_for(PushEvent.MESSAGE)
        [letter] = await house.relay.messages(phone.n)
        assert (letter.body, letter.content_type) == (b"Hello", "text/plain;charset=UTF-8")
        assert letter.sender == f'"Bob" <sip:bob@{REGISTRAR}>'
        assert push.payload["message"] == letter.mid
        assert "text" not in push.payload

    async def test_nothing_is_answered_before_it_is_kept(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        house.store.write = _down  # type: ignore[method-assign,assignment]
        text(caller, phone)
        assert (await caller.response(503)).headers.get("Retry-After")
        assert house.pushes.sent == []

    async def test_the_text_lies_sealed_on_disk(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        text(caller, phone, b"marker-text-77")
        await caller.response(202)
        files = [path.read_bytes() for path in house.directory.iterdir() if path.is_file()]
        assert not [data for data in files if b"marker-text-77" in data]

    async def test_a_repeat_after_its_transaction_is_forgotten_is_kept_once(
        self, house: House
    ) -> None:
        phone, caller = await house.enable(), await house.caller()
        text(caller, phone)
        await caller.response(202)
        await house.clock.advance(40)
        text(caller, phone)
        await caller.response(202)
        assert len(await house.relay.messages(phone.n)) == 1
        assert house.pushes.events() == [PushEvent.MESSAGE]

    async def test_a_provider_that_sends_again_under_a_new_call_id_is_seen_through(
        self, house: House
    ) -> None:
        phone, caller = await house.enable(), await house.caller()
        for call_id in ("first", "second"):
            text(caller, phone, CPIM, call_id=call_id, content="message/cpim")
            await caller.response(202)
        assert len(await house.relay.messages(phone.n)) == 1

    async def test_forks_that_do_not_say_which_phone_reach_each_of_them(self, house: House) -> None:
        phones, caller = [await house.enable(), await house.enable()], await house.caller()
        for number in range(2):
            uri, branch = f"sip:+4930{number}@127.0.0.1", f"z9hG4bK-fork-{number}"
            text(caller, phones[0], uri=uri, branch=branch)
            await caller.response(202)
        for phone in phones:
            [letter] = await house.relay.messages(phone.n)
            assert letter.body == b"Hello"

    async def test_a_full_box_is_told_to_the_provider(self, tmp_path: Path) -> None:
        async with a_house(tmp_path, policy={"max_messages": 1}) as house:
            phone, caller = await house.enable(), await house.caller()
            text(caller, phone, call_id="one")
            await caller.response(202)
            text(caller, phone, call_id="two")
            await caller.response(480)

    async def test_too_large_is_413(self, tmp_path: Path) -> None:
        async with a_house(tmp_path, policy={"max_message": 10}) as house:
            phone, caller = await house.enable(), await house.caller()
            text(caller, phone, b"x" * 10, call_id="fits")
            await caller.response(202)
            text(caller, phone, b"x" * 11, call_id="too-large")
            await caller.response(413)

    async def test_a_flood_is_cut_off(self, tmp_path: Path) -> None:
        async with a_house(tmp_path, policy={"messages_per_minute": 2}) as house:
            phone, caller = await house.enable(), await house.caller()
            for call_id in ("one", "two"):
                text(caller, phone, call_id=call_id)
                await caller.response(202)
            text(caller, phone, call_id="three")
            assert (await caller.response(480)).headers.get("Retry-After")


class TestSortingOut:
    async def test_is_composing_is_answered_and_forgotten(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        text(caller, phone, b"<isComposing/>", content="application/im-iscomposing+xml")
        await caller.response(200)
        assert await house.relay.messages(phone.n) == []
        assert house.pushes.sent == []

    @pytest.mark.parametrize(
        ("body", "content"), [(b"<imdn/>", "message/imdn+xml"), (RECEIPT, "message/cpim")]
    )
    async def test_delivery_reports_are_kept_and_wake_nobody(
        self, house: House, body: bytes, content: str
    ) -> None:
        phone, caller = await house.enable(), await house.caller()
        text(caller, phone, body, content=content)
        await caller.response(202)
        await turns()
        assert len(await house.relay.messages(phone.n)) == 1
        assert house.pushes.sent == []

    async def test_a_phone_that_shows_previews_gets_the_cleaned_text(self, house: House) -> None:
        phone = await house.enable(push_targets=(ALERT,), preview=True)
        caller = await house.caller()
        text(caller, phone, "Hello \u202edlrow".encode())
        push = await house.pushes.wait_for(PushEvent.MESSAGE)
        assert (push.payload["from"], push.payload["text"]) == ("Bob", "Hello dlrow")


class TestDelivering:
    async def test_an_app_that_registers_gets_what_waited_in_order(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        for body in (b"one", b"two"):
            text(caller, phone, body, call_id=body.decode())
            await caller.response(202)
        handset = await house.handset(phone.n)
        await handset.register()
        for expected in (b"one", b"two"):
            message = await handset.asked("MESSAGE")
            assert message.body == expected
            assert message.headers.get("X-Thread") == "42"
            handset.respond(message, 200)
        await turns()
        assert await house.relay.messages(phone.n) == []

    async def test_a_connected_app_gets_a_message_without_a_push(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        handset = await house.handset(phone.n)
        await handset.register()
        text(caller, phone)
        await caller.response(202)
        handset.respond(await handset.asked("MESSAGE"), 200)
        await turns()
        assert house.pushes.sent == []

    async def test_an_app_that_stays_silent_is_pushed_and_the_message_waits(
        self, house: House
    ) -> None:
        phone, caller = await house.enable(), await house.caller()
        handset = await house.handset(phone.n)
        await handset.register()
        text(caller, phone)
        message = await handset.asked("MESSAGE")
        await house.clock.advance(3.1)
        await house.pushes.wait_for(PushEvent.MESSAGE)
        assert len(await house.relay.messages(phone.n)) == 1
        handset.respond(message, 200)
        async with asyncio.timeout(PATIENCE):
            while await house.relay.messages(phone.n):
                await turns(1)

    async def test_a_text_that_comes_while_the_app_is_silent_about_a_receipt_is_pushed(
        self, house: House
    ) -> None:
        phone, caller = await house.enable(), await house.caller()
        handset = await house.handset(phone.n)
        await handset.register()
        text(caller, phone, RECEIPT, call_id="receipt", content="message/cpim")
        await caller.response(202)
        await handset.asked("MESSAGE")
        text(caller, phone, call_id="reply")
        await caller.response(202)
        await house.clock.advance(3.1)
        await house.pushes.wait_for(PushEvent.MESSAGE)

    async def test_what_the_app_cannot_take_waits_for_the_api_alone(self, house: House) -> None:
        phone, caller = await house.enable(), await house.caller()
        handset = await house.handset(phone.n)
        await handset.register()
        text(caller, phone)
        handset.respond(await handset.asked("MESSAGE"), 415)
        await turns()
        await handset.register()
        await turns()
        assert await handset.silence()
        [letter] = await house.relay.messages(phone.n)
        assert await house.relay.acknowledge(phone.n, letter.mid)
        assert await house.relay.messages(phone.n) == []
        assert not await house.relay.acknowledge(phone.n, letter.mid)


async def _down(*_: object, **__: object) -> None:
    raise StoreError("down")
