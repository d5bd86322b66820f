"""Messages to phones that sleep: taken over, kept sealed, handed on, erased."""

import base64
from pathlib import Path

from tests.interop.conftest import MakePhone
from tests.support import sipp
from tests.support.kamailio import Kamailio
from tests.support.phone import Phone
from tests.support.processes import wait_until

TEXT = "Are you asleep?"


def is_written_to(phone: Phone, provider: Kamailio, folder: Path) -> None:
    phone.hand_over(provider.address())
    sipp.finish(sipp.start(folder, "message", phone.user, provider.port))
    phone.pushed("message")


def test_a_message_reaches_a_softphone_that_wakes_up_and_is_erased(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones("bob-reads")
    is_written_to(bob, provider, tmp_path)
    assert len(messages_of(bob)) == 1

    bob.wake()

    bob.heard(TEXT)
    wait_until(lambda: messages_of(bob) == [], "the message to be erased")


def test_a_message_can_be_fetched_and_acknowledged_without_sip(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones("bob-fetches")
    is_written_to(bob, provider, tmp_path)

    (message,) = messages_of(bob)
    assert base64.b64decode(str(message["body"])).decode() == TEXT
    assert message["content_type"] == "text/plain"

    assert bob.here("DELETE", f"/messages/{message['id']}").status == 204
    assert messages_of(bob) == []


def messages_of(phone: Phone) -> list[dict[str, object]]:
    found = phone.here("GET", "/messages").body["messages"]
    assert isinstance(found, list)
    return found
