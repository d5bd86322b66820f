"""What the stack tells its owner; taken one by one from `Stack.next_event()`.

Refuses to carry anything mutable of the stack: a transaction is named by its id.
"""

from dataclasses import dataclass

from sipis.sip.flow import Flow
from sipis.sip.message import Request, Response


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A new request; repeats of it are absorbed."""

    request: Request
    flow: Flow
    transaction: str | None
    """Answer under this id; None for the ACK to a 2xx, which has no answer."""
    at: float = 0.0
    """When it came, by the time handed to the stack; 0 for an ACK."""


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """A response to a request of ours; of 2xx to INVITE one for each To tag (RFC 3261 13.2.2.4)."""

    response: Response
    transaction: str
    flow: Flow


@dataclass(frozen=True, slots=True)
class CancelReceived:
    """The peer gives up an INVITE that has no final response; the CANCEL itself is answered."""

    request: Request
    flow: Flow
    transaction: str
    """The INVITE's; answer it with 487."""


@dataclass(frozen=True, slots=True)
class RequestTimedOut:
    """No final response came in time (timers B and F, or 64*T1 after a CANCEL)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The flow of a request was lost before its final response."""

    transaction: str
    error: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A request of ours is too large for its flow (RFC 3261 18.1.1), and has not been sent yet.

    `Stack.detour()` sends it over a stream, `Stack.insist()` over its flow nevertheless.
    """

    transaction: str
    flow: Flow


@dataclass(frozen=True, slots=True)
class DetourFailed:
    """Nobody answered a request over the stream that it took instead of this flow."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class AckMissing:
    """No ACK to our final response to an INVITE came within 64*T1 (RFC 3261 13.3.1.4, 17.2.1)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class FlowPong:
    """The peer answered a keep-alive (RFC 5626 4.4.1)."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something arrived that breaks the rules; `problem` never quotes it."""

    flow: Flow
    problem: str
    answered: int
    """The status sent back, 0 where silence was due."""


@dataclass(frozen=True, slots=True)
class Overloaded:
    """A new request was dropped because too many transactions exist."""

    flow: Flow


Event = (
    RequestReceived
    | ResponseReceived
    | CancelReceived
    | RequestTimedOut
    | RequestFailed
    | TooLarge
    | DetourFailed
    | AckMissing
    | FlowPong
    | Malformed
    | Overloaded
)
