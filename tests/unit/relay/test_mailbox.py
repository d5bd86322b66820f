"""Message waiting."""

import pytest

from sipis.model import PushEvent
from tests.support.relay import House, Phone, turns
from tests.support.sip_peers import REGISTRAR, Caller


def notify(caller: Caller, phone: Phone, body: bytes, event: str = "message-summary") -> None:
    number = next(caller._numbers)
    own = [
        ("From", f"<sip:alice@{REGISTRAR}>;tag=b{number}"),
        ("To", f"<sip:alice@{REGISTRAR}>"),
        ("Call-ID", f"notify-{number}"),
        ("CSeq", "7 NOTIFY"),
        ("Event", event),
        ("Subscription-State", "active"),
        ("Contact", f"<sip:pbx@{caller.hostport}>"),
    ]
    caller.request("NOTIFY", phone.contact, own, body)


def summary(new: int) -> bytes:
    return f"Messages-Waiting: yes\r\nVoice-Message: {new}/8 (0/2)\r\n".encode()


async def test_only_a_rising_count_reaches_the_phone(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    pushes = []
    for new in (2, 2, 1, 0, 3):
        notify(caller, phone, summary(new))
        await caller.response(200)
        await turns()
        pushes.append(house.pushes.events().count(PushEvent.MWI))
    assert pushes == [1, 1, 1, 1, 2]


async def test_two_summaries_at_once_that_say_the_same_are_one_push(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    for _ in range(2):
        notify(caller, phone, summary(2))
    for _ in range(2):
        await caller.response(200)
    await turns()
    assert house.pushes.events().count(PushEvent.MWI) == 1


async def test_a_restart_pushes_nothing_twice(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    notify(caller, phone, summary(2))
    await caller.response(200)
    await house.pushes.wait_for(PushEvent.MWI)
    await house.restart()
    caller = await house.caller()
    notify(caller, phone, summary(2))
    await caller.response(200)
    await turns()
    assert house.pushes.sent == []


async def test_other_events_are_refused(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    notify(caller, phone, b"", event="presence")
    assert (await caller.response(489)).headers.get("Allow-Events") == "message-summary"


@pytest.mark.parametrize("body", [b"", b"nonsense", b"Voice-Message: many/few\r\n"])
async def test_a_summary_that_says_nothing_is_answered_and_ignored(
    house: House, body: bytes
) -> None:
    phone, caller = await house.enable(), await house.caller()
    notify(caller, phone, body)
    await caller.response(200)
    await turns()
    assert house.pushes.sent == []
