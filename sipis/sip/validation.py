"""What a request is owed by its own content alone, once it can be read (RFC 3261 8.2).

Syntax is checked by the reader (400, 505, 513) and merged copies by the server machine (482). The
rest of 8.2 needs to know what the transaction user supports, and is left to it: 405, 415, 420.
"""

from dataclasses import dataclass
from typing import Final

from sipis.sip.message import Request
from sipis.sip.uri import SipUri

ENDING_HERE: Final = frozenset({"REGISTER", "OPTIONS", "ACK", "CANCEL"})
"""Methods that are answered here and go no further, so that no hop need be left."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The status owed, and why; the text never quotes the message."""

    status: int
    problem: str


MERGED: Final = Fault(482, "the same request came on another way")
_SCHEME: Final = Fault(416, "Request-URI of an unsupported scheme")
_HOPS: Final = Fault(483, "no hops left")


def fault_of(request: Request) -> Fault | None:
    """The first fault of a request; raises RemoteProtocolError when it cannot be read."""
    if not isinstance(request.uri, SipUri):
        return _SCHEME
    if request.max_forwards == 0 and _goes_further(request):
        return _HOPS
    return None


def _goes_further(request: Request) -> bool:
    """Whether the hop limit binds; inside dialogs it does not (RFC 7332 5)."""
    return request.method not in ENDING_HERE and request.to_tag is None
