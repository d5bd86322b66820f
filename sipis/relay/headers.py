"""What crosses from one leg to the other: one table for headers and one for option tags.

    OWN   we write it ourselves on each leg: it belongs to one hop, dialog or transaction
    PASS  it belongs to the two people who talk, and crosses byte for byte
    DROP  it would promise what we do not do, or lead around us

A header that the table does not name passes, except `X-Sipis-*`, which is ours. An option tag that
the table does not name is one that we cannot answer for: it is dropped from Supported, and a
request that requires it gets 420 (RFC 3261 8.2.2.3).
Refuses control characters: a value that has any is not carried, the request owes 400.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.flow import Flow
from sipis.sip.message import Message, Response
from sipis.sip.message.fields import key_of
from sipis.sip.sdp import without_crypto


class Rule(Enum):
    """What becomes of a header or option tag."""

    OWN = auto()
    PASS = auto()
    DROP = auto()


ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, NOTIFY, INFO, UPDATE, REFER"
"""What we take from a provider; PRACK is missing because 100rel is not offered."""

IN_DIALOG: Final = frozenset({"INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "OPTIONS"})
"""Methods that pass between the legs of a running call; ACK and BYE are the machine's."""

OUR_PREFIX: Final = "x-sipis-"

HEADERS: Final[dict[str, Rule]] = {
    # One hop or transaction (RFC 3261 8.1.1, 8.2.6).
    "via": Rule.OWN,
    "max-forwards": Rule.OWN,
    "content-length": Rule.OWN,
    "cseq": Rule.OWN,
    "timestamp": Rule.OWN,
    # One dialog (RFC 3261 12): each leg has its own.
    "from": Rule.OWN,
    "to": Rule.OWN,
    "call-id": Rule.OWN,
    "contact": Rule.OWN,
    "route": Rule.OWN,
    "record-route": Rule.OWN,
    "path": Rule.OWN,
    "service-route": Rule.OWN,
    "flow-timer": Rule.OWN,
    # One registration or login: credentials and challenges never cross (RFC 3261 22).
    "authorization": Rule.DROP,
    "proxy-authorization": Rule.DROP,
    "www-authenticate": Rule.DROP,
    "proxy-authenticate": Rule.DROP,
    "authentication-info": Rule.DROP,
    "proxy-authentication-info": Rule.DROP,
    # What each side is told that it may use is what we can carry.
    "supported": Rule.OWN,
    "require": Rule.OWN,
    "proxy-require": Rule.DROP,
    "allow": Rule.OWN,
    "allow-events": Rule.DROP,
    "user-agent": Rule.OWN,
    "server": Rule.OWN,
    "rseq": Rule.DROP,
    "rack": Rule.DROP,
    # Names of dialogs on the other leg; Replaces is translated where it is known (replaces.py).
    "replaces": Rule.OWN,
    "join": Rule.DROP,
    "target-dialog": Rule.DROP,
    # How long we wait is our own decision.
    "expires": Rule.OWN,
    "x-push-call-id": Rule.OWN,
}
"""By lower-case name; all others pass."""

OPTION_TAGS: Final[dict[str, Rule]] = {
    # Reliable provisionals (RFC 3262): while the phone wakes nobody could acknowledge them.
    "100rel": Rule.DROP,
    "precondition": Rule.DROP,
    # Session timers (RFC 4028) run end to end: refreshes and 422 pass, so no leg dies unnoticed.
    "timer": Rule.PASS,
    # Transfers pass inside the dialog; dialog names in Replaces are translated.
    "replaces": Rule.PASS,
    "norefersub": Rule.PASS,
    "nosub": Rule.PASS,
    "explicitsub": Rule.PASS,
    "tdialog": Rule.DROP,
    "join": Rule.DROP,
    "multiple-refer": Rule.DROP,
    # What concerns the two ends alone.
    "answermode": Rule.PASS,
    "early-session": Rule.PASS,
    "from-change": Rule.PASS,
    "geolocation-http": Rule.PASS,
    "geolocation-sip": Rule.PASS,
    "histinfo": Rule.PASS,
    "ice": Rule.PASS,
    "pref": Rule.PASS,
    "privacy": Rule.PASS,
    "record-aware": Rule.PASS,
    "resource-priority": Rule.PASS,
    "sdp-anat": Rule.PASS,
    "trickle-ice": Rule.PASS,
    "uui": Rule.PASS,
    # Registration, routing and security of one hop.
    "gruu": Rule.DROP,
    "outbound": Rule.DROP,
    "path": Rule.DROP,
    "sec-agree": Rule.DROP,
}
"""By lower-case tag; all others are dropped."""

MOST_TAGS: Final = 64

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def carried(message: Message) -> Iterator[tuple[str, str]]:
    """The headers that cross, in order and as written, then Supported and Require as they may.

    A request with a control character raises RemoteProtocolError (400); of a response the header
    in question stays behind, for the call must go on.
    """
    lenient = isinstance(message, Response)
    for name, value in message.headers:
        if _rule(name) is not Rule.PASS:
            continue
        if _CONTROL.search(value) is None:
            yield name, value
        elif not lenient:
            raise RemoteProtocolError("control character in a header")
    for name in ("Supported", "Require"):
        tags = [tag for tag in _option_tags(message, name) if may_pass(tag)]
        if tags:
            yield name, ", ".join(tags)


def unsupported(message: Message) -> list[str]:
    """Option tags that the message requires and that we cannot answer for."""
    return [tag for tag in _option_tags(message, "Require") if not may_pass(tag)]


def may_pass(tag: str) -> bool:
    """Whether an option tag may cross."""
    return OPTION_TAGS.get(tag.strip().lower()) is Rule.PASS


def body_for(message: Message, flow: Flow) -> bytes:
    """The body as it may leave over a flow: media keys (RFC 4568) only where it is encrypted.

    A body of no stated kind is taken for a session description: that is how a phone may read it.
    """
    kind = (message.headers.get("Content-Type") or "sdp").lower()
    may_have_keys = "sdp" in kind or "multipart" in kind
    if flow.transport.secure or not may_have_keys:
        return message.body
    return without_crypto(message.body)


def _rule(name: str) -> Rule:
    key = key_of(name)
    return Rule.OWN if key.startswith(OUR_PREFIX) else HEADERS.get(key, Rule.PASS)


def _option_tags(message: Message, header: str) -> list[str]:
    """Tags have no quotes, so that a comma always separates (RFC 3261 20.32)."""
    tags = [tag.strip() for line in message.headers.get_all(header) for tag in line.split(",")]
    return [tag for tag in tags if tag][:MOST_TAGS]
