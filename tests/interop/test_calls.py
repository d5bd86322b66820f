"""Calls to phones that sleep: SIPp calls through Kamailio, the push arrives, baresip wakes up."""

from pathlib import Path

import pytest

from sipis.sip.flow import Transport
from tests.interop.conftest import MakePhone, MakeProvider, MakeServer
from tests.support import sipp
from tests.support.kamailio import Kamailio
from tests.support.phone import Phone, decline, sleep_on

UUID_HEADER = "X-Push-Call-ID: "


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS])
def test_a_sleeping_phone_is_woken_answers_and_is_hung_up_on(
    transport: Transport, provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones(f"bob-{transport}")
    bob.hand_over(provider.address(transport))

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    call = str(bob.pushed("call")["call"])
    bob.heard(UUID_HEADER + call)
    bob.heard("session closed")
    assert bob.fate_of(call) == "answered"


def test_the_callee_may_hang_up(provider: Kamailio, phones: MakePhone, tmp_path: Path) -> None:
    bob = phones("bob-hangs-up")
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "call_callee_ends", bob.user, provider.port)
    bob.hang_up()

    sipp.finish(call)


def test_a_softphone_wakes_up_over_tls(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones("bob-over-tls", relay="tls")
    bob.hand_over(provider.address())

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    bob.heard("Via: SIP/2.0/TLS")
    bob.heard("session closed")


def test_ack_and_bye_may_come_straight_from_the_caller(
    providers: MakeProvider, phones: MakePhone, tmp_path: Path
) -> None:
    provider = providers(NO_RECORD_ROUTE="1")
    bob = phones("bob-without-record-route")
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "call_direct", bob.user, provider.port, caller="127.0.0.2")
    sipp.finish(call)

    bob.heard("session closed")
    assert provider.requests("INVITE") == 1
    assert provider.requests("ACK") == provider.requests("BYE") == 0


def test_a_caller_who_gives_up_leaves_a_cancelled_call(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones("bob-too-late", on_call=sleep_on)
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "cancel", bob.user, provider.port)
    sipp.finish(call)

    late = str(bob.pushed("call")["call"])
    assert bob.fate_of(late) == "cancelled"
    assert bob.pushed("call-ended")["call"] == late


def test_a_call_that_nobody_answers_is_refused_and_missed(
    servers: MakeServer, provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    impatient = servers(policy={"react_timeout": 1})
    bob = phones("bob-fast-asleep", at=impatient, on_call=sleep_on)
    bob.hand_over(provider.address())

    sipp.finish(sipp.start(tmp_path, "refused_480", bob.user, provider.port))

    assert bob.fate_of(str(bob.pushed("call")["call"])) == "missed"


def test_a_call_can_be_declined_without_sip(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones("bob-declines", on_call=decline)
    bob.hand_over(provider.address())

    sipp.finish(sipp.start(tmp_path, "refused_486", bob.user, provider.port))

    assert bob.fate_of(str(bob.pushed("call")["call"])) == "declined"
    assert bob.softphone is None


def test_of_two_phones_the_first_to_answer_wins_and_the_other_is_told(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    def after_the_other(phone: Phone, _: str) -> None:
        slow.heard("180 Ringing")
        phone.wake()

    slow = phones("bob-twice", answers="manual")
    quick = phones("bob-twice", on_call=after_the_other)
    for phone in (slow, quick):
        phone.hand_over(provider.address())
    assert slow.instance["instance"] != quick.instance["instance"]

    sipp.finish(sipp.start(tmp_path, "call", "bob-twice", provider.port))

    slow.heard("CANCEL sip:")
    assert slow.fate_of(str(slow.pushed("call")["call"])) == "elsewhere"
    assert quick.fate_of(str(quick.pushed("call")["call"])) == "answered"
