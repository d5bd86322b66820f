"""Messages and voicemail for sleeping phones, end to end inside one process."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sipis.sip.message import Request, Response
from sipis.world.handset import Handset, Temper
from tests.scenarios.conftest import APP, Town

pytestmark = pytest.mark.timeout(30)

COMPOSING = "application/im-iscomposing+xml"
RECEIPT = "message/imdn+xml"


async def test_a_message_wakes_the_phone_comes_by_sip_and_is_erased(town: Town) -> None:
    phone = await town.asleep()
    assert (await town.provider.message("alice", "hello")).status == 202
    push = await town.pushed(phone, "message")
    message = await phone.messages.next()
    assert message.body == b"hello"
    assert message.from_.display == "Carol"
    assert message.headers.get("X-Sipis-Message-ID") == push["message"]
    await mailbox_of(phone, [])


async def test_a_message_is_fetched_and_acknowledged_over_http(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    assert (await town.provider.message("alice", "hello")).status == 202
    push = await town.pushed(phone, "message")
    await mailbox_of(phone, ["hello"])
    assert (await phone.here("DELETE", f"/messages/{push['message']}")).status == 204
    await mailbox_of(phone, [])
    assert (await phone.here("DELETE", f"/messages/{push['message']}")).status == 404


async def test_messages_come_in_the_order_in_which_they_were_sent(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    for number in range(5):
        assert (await town.provider.message("alice", f"number {number}")).status == 202
    await mailbox_of(phone, [f"number {number}" for number in range(5)])
    await phone.register()
    got = [(await phone.messages.next()).body for _ in range(5)]
    assert got == [b"number %d" % number for number in range(5)]


async def test_an_awake_app_gets_a_message_over_its_flow_without_a_push(town: Town) -> None:
    phone = await town.asleep()
    await phone.register()
    assert (await town.provider.message("alice", "hello")).status == 202
    assert (await phone.messages.next()).body == b"hello"
    await mailbox_of(phone, [])
    phone.sleep()
    assert (await town.provider.message("alice", "are you there?")).status == 202
    await town.pushed(phone, "message")
    assert pushes_to(town, phone, "message") == 1


async def test_somebody_is_composing_wakes_nobody_and_is_not_kept(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    assert (await town.provider.message("alice", "<isComposing/>", kind=COMPOSING)).status == 200
    assert (await town.provider.message("alice", "hello")).status == 202
    await town.pushed(phone, "message")
    assert pushes_to(town, phone, "message") == 1
    await mailbox_of(phone, ["hello"])


async def test_a_delivery_report_is_kept_but_wakes_nobody(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    assert (await town.provider.message("alice", "<imdn/>", kind=RECEIPT)).status == 202
    assert (await town.provider.message("alice", "hello")).status == 202
    await town.pushed(phone, "message")
    assert pushes_to(town, phone, "message") == 1
    await mailbox_of(phone, ["<imdn/>", "hello"])


async def test_a_delivery_report_in_cpim_wakes_nobody_either(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    report = "From: <sip:carol@x>\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n<imdn/>"
    assert (await town.provider.message("alice", report, kind="message/cpim")).status == 202
    assert (await town.provider.message("alice", "hello")).status == 202
    await town.pushed(phone, "message")
    assert pushes_to(town, phone, "message") == 1


async def test_a_message_over_the_limit_is_refused_with_413(empty_town: Town) -> None:
    town = empty_town
    await town.serve(policy={"max_message": 100})
    phone = await town.asleep(temper=Temper.IGNORE)
    assert (await town.provider.message("alice", "x" * 101)).status == 413
    assert (await town.provider.message("alice", "x" * 100)).status == 202
    await town.pushed(phone, "message")
    await mailbox_of(phone, ["x" * 100])


async def test_a_message_that_is_sent_again_is_neither_kept_nor_pushed_twice(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    text = with_id("34jk324j")
    for _ in range(2):
        assert (await town.provider.message("alice", text, kind="message/cpim")).status == 202
    await mailbox_of(phone, [text])
    push = await town.pushed(phone, "message")
    await phone.here("DELETE", f"/messages/{push['message']}")
    assert (await town.provider.message("alice", text, kind="message/cpim")).status == 202
    assert (await town.provider.message("alice", "another")).status == 202
    await town.pushed(phone, "message")
    assert pushes_to(town, phone, "message") == 2
    await mailbox_of(phone, ["another"])


async def test_a_flood_of_messages_is_held_off(empty_town: Town) -> None:
    town = empty_town
    await town.serve(policy={"messages_per_minute": 2})
    phone = await town.asleep(temper=Temper.IGNORE)
    answers = [await town.provider.message("alice", str(number)) for number in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 480]
    assert answers[2].headers.get("Retry-After")
    await mailbox_of(phone, ["0", "1"])


async def test_a_full_mailbox_is_said_to_be_full(empty_town: Town) -> None:
    town = empty_town
    await town.serve(policy={"max_messages": 1})
    phone = await town.asleep(temper=Temper.IGNORE)
    assert (await town.provider.message("alice", "first")).status == 202
    assert (await town.provider.message("alice", "second")).status == 480
    await mailbox_of(phone, ["first"])


async def test_a_push_shows_text_and_sender_only_when_the_app_asked(empty_town: Town) -> None:
    town = empty_town
    await town.serve(apps={APP: {"preview": True}})
    discreet = await town.asleep("alice", temper=Temper.IGNORE)
    frank = await town.asleep("bob", temper=Temper.IGNORE, preview=True)
    await town.provider.message("alice", "hello")
    await town.provider.message("bob", "hello")
    told = await town.pushed(discreet, "message")
    assert not {"from", "text", "sealed"} & set(told)
    shown = await town.pushed(frank, "message")
    assert (shown["from"], shown["text"]) == ("Carol", "hello")


async def test_with_a_push_key_text_and_sender_travel_sealed(town: Town) -> None:
    key = X25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    phone = await town.asleep(temper=Temper.IGNORE, push_key=public)
    await town.provider.message("alice", "hello")
    push = await town.pushed(phone, "message")
    assert not {"from", "text"} & set(push)
    opened = unseal(key, push, phone)
    assert (opened["from"], opened["text"]) == ("Carol", "hello")


async def test_voicemail_is_pushed_only_when_there_is_more_of_it(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    for waiting in (0, 2, 2, 1, 3):
        assert (await town.provider.notify_voicemail("alice", waiting)).status == 200
    for _ in range(2):
        await town.pushed(phone, "mwi")
    await town.provider.notify_voicemail("alice", 4)
    await town.pushed(phone, "mwi")
    assert pushes_to(town, phone, "mwi") == 3


async def test_a_notification_of_something_else_is_refused_with_489(town: Town) -> None:
    await town.asleep(temper=Temper.IGNORE)
    answer = await send(town, "NOTIFY", [("Event", "dialog")])
    assert answer.status == 489
    assert answer.headers.get("Allow-Events") == "message-summary"


async def test_options_are_answered_and_tell_what_is_taken(town: Town) -> None:
    await town.asleep()
    answer = await town.provider.options("alice")
    assert answer.status == 200
    assert {"INVITE", "MESSAGE", "NOTIFY"} <= set((answer.headers.get("Allow") or "").split(", "))


def with_id(number: str) -> str:
    """A text in CPIM with an IMDN id (RFC 5438)."""
    return (
        f"From: <sip:carol@x>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {number}\r\n"
        "\r\nContent-Type: text/plain\r\n\r\nhello"
    )


async def send(town: Town, method: str, headers: list[tuple[str, str]]) -> Response:
    """A request of the provider's own making to alice."""
    provider, where = town.provider, town.provider.registrar.bindings("alice")[-1]
    request = Request.build(method, where.contact.uri, [
        ("Max-Forwards", "70"),
        ("From", f'"Carol" <sip:carol@{provider.domain}>;tag=carol'),
        ("To", f"<sip:alice@{provider.domain}>"),
        ("Call-ID", provider.token()),
        ("CSeq", f"1 {method}"),
        *headers,
    ])  # fmt: skip
    return await provider.ask(request, where.flow)


async def mailbox_of(phone: Handset, wanted: list[str]) -> None:
    """Wait until these are the stored messages."""
    while await stored_for(phone) != wanted:
        continue


async def stored_for(phone: Handset) -> list[str]:
    found = (await phone.here("GET", "/messages")).body["messages"]
    assert isinstance(found, list)
    return [base64.b64decode(it["body"]).decode() for it in found]


def pushes_to(town: Town, phone: Handset, event: str) -> int:
    """How many pushes of an event a phone got so far."""
    return sum(
        it.target == phone.push_token and json.loads(it.data["sipis"])["event"] == event
        for it in town.stage.fcm.pushes.items
    )


def unseal(key: X25519PrivateKey, push: object, phone: Handset) -> dict[str, object]:
    """What an app does with `sealed`."""
    assert isinstance(push, dict)
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    info = f"sipis-push-v1|{phone.instance['instance']}|{push['event']}".encode()
    opened: dict[str, object] = json.loads(
        suite.decrypt(base64.b64decode(push["sealed"]), key, info)
    )
    return opened
