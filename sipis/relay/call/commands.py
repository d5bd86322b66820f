"""What a call wants done, as values; the bridge does it.

Refuses to hold SIP messages: a command says what, the bridge has the messages to do it with.
"""

from dataclasses import dataclass

from sipis.model import CallState
from sipis.relay.call.events import Timer


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the provider's INVITE.

    `push_status` and `reason` become X-Sipis-Push-Status and X-Sipis-Reason; `relayed` lets the
    headers of the app's final response pass.
    """

    status: int
    push_status: str | None = None
    reason: str | None = None
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the provider's INVITE with the app's 2xx and its SDP."""

    claim: int


@dataclass(frozen=True, slots=True)
class Push:
    """Wake the app."""


@dataclass(frozen=True, slots=True)
class StopPush:
    """Take back what has not left yet."""


@dataclass(frozen=True, slots=True)
class TellEnd:
    """Tell a phone that may still be ringing how the call ended; never by a VoIP push."""

    outcome: CallState


@dataclass(frozen=True, slots=True)
class InviteApp:
    """Send an INVITE to the newest flow of the app."""

    claim: int


@dataclass(frozen=True, slots=True)
class CancelApp:
    """Take an INVITE to the app back (RFC 3261 9.1)."""

    claim: int


@dataclass(frozen=True, slots=True)
class AbandonApp:
    """Forget an INVITE to the app that never got its final response."""

    claim: int


@dataclass(frozen=True, slots=True)
class AckApp:
    """Acknowledge the app's 2xx, with the body of the provider's ACK if that had one."""

    claim: int


@dataclass(frozen=True, slots=True)
class ByeApp:
    """End the dialog with the app."""

    claim: int


@dataclass(frozen=True, slots=True)
class ByeProvider:
    """End the dialog with the provider."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Feed the timer's event after that many seconds; replaces an earlier one of its name."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Call a timer off."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Record:
    """Remember what a late waker is to be told."""

    state: CallState


@dataclass(frozen=True, slots=True)
class Release:
    """The call is over: nothing of it is needed any more."""


Command = (
    Respond
    | Answer
    | Push
    | StopPush
    | TellEnd
    | InviteApp
    | CancelApp
    | AbandonApp
    | AckApp
    | ByeApp
    | ByeProvider
    | StartTimer
    | StopTimer
    | Record
    | Release
)
