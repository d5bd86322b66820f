"""What a CANCEL says about the call that it ends (RFC 3326).

Refuses to guess: without a Reason that names another device, the caller has given up.
"""

from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.model import CallState
from sipis.sip.headers import Reason
from sipis.sip.message import Message

_ENDINGS: Final = {
    ("sip", 200): CallState.ELSEWHERE,
    ("sip", 600): CallState.DECLINED,
    ("sip", 603): CallState.DECLINED,
    ("q.850", 26): CallState.ELSEWHERE,
    ("q.850", 21): CallState.DECLINED,
}
"""Another device answered or declined; Q.850 26 is "non-selected user clearing" of many PBXs."""


def reasons_of(message: Message) -> list[Reason]:
    """All reasons of a message; those that cannot be read are left out."""
    found: list[Reason] = []
    for line in message.headers.get_all("Reason"):
        try:
            found += Reason.parse_many(line)
        except RemoteProtocolError:
            continue
    return found


def ending_of(message: Message) -> CallState:
    """How a call ended for the device that gets this CANCEL."""
    for reason in reasons_of(message):
        known = _ENDINGS.get((reason.protocol.lower(), reason.cause or 0))
        if known is not None:
            return known
    return CallState.CANCELLED
