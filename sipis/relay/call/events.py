"""What can happen to a call.

An event names one thing that a leg, a push, the app or a timer reports. Refuses to interpret:
what an event means in the light of what went before is decided by the machine.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from sipis.model import CallState


class Timer(Enum):
    """What a call waits for; the seconds are the policy's."""

    REACT = "react"
    """T1: nobody has reacted to the push yet."""
    ANSWER = "answer"
    """T2: a device has reacted, the person has not answered yet."""
    REPEAT = "repeat"
    """The next 180 is due, so that no proxy gives up on us (RFC 3261 16.7 step 2, timer C)."""
    SILENCE = "silence"
    """An INVITE to the app has had no response at all yet."""
    CLEAR = "clear"
    """A cancelled INVITE to the app still lacks its final response (RFC 3261 9.1)."""
    LONGEST = "longest"
    """No call lasts longer: a leg whose end was lost must not bill for days."""


class Kind(Enum):
    """The kinds of events; the last group is never fed but found by the machine itself."""

    CALLED_ASLEEP = auto()
    """INVITE; the app has no flow."""
    CALLED_QUIET = auto()
    """INVITE; the app has a flow, but nothing was heard on it lately."""
    CALLED_CONNECTED = auto()
    """INVITE; the app has a lively flow."""
    RESUMED = auto()
    """The server was started again during the call."""
    CANCEL = auto()
    ACK = auto()
    ACK_MISSING = auto()
    PROVIDER_BYE = auto()
    PROVIDER_LOST = auto()
    """The provider's dialog is gone: 481 or silence inside it (RFC 3261 12.2.1.2)."""

    PUSH_ACCEPTED = auto()
    PUSH_FAILED = auto()

    CAME = auto()
    """The app registered on a flow that carries no INVITE of this call yet."""
    ACCEPT = auto()
    """The app says over HTTP that the person answers."""
    DECLINE = auto()
    """The app says over HTTP that the person declines."""
    RANG = auto()
    """A provisional response of the app."""
    ANSWERED = auto()
    """A 2xx of the app."""
    DECLINED = auto()
    """A final response of the app that is a person's no."""
    REFUSED = auto()
    """Any other final response of the app."""
    LOST = auto()
    """The INVITE to the app timed out or its flow closed."""
    APP_BYE = auto()
    APP_LOST = auto()
    """The app's dialog is gone."""

    GONE = auto()
    """The instance was destroyed."""
    DRAINED = auto()
    """The server stops and has waited long enough."""

    REACT_ELAPSED = auto()
    ANSWER_ELAPSED = auto()
    REPEAT_ELAPSED = auto()
    SILENCE_ELAPSED = auto()
    CLEAR_ELAPSED = auto()
    LONGEST_ELAPSED = auto()

    CAME_OVERDUE = auto()
    """CAME while an earlier INVITE has stayed without any response for too long."""
    SILENCE_RENEWED = auto()
    """SILENCE_ELAPSED after the app has come on a newer flow."""
    SILENCE_UNPUSHED = auto()
    """SILENCE_ELAPSED and nothing was pushed yet."""
    LOST_RENEWED = auto()
    """LOST, but the app has come on a newer flow."""
    LOST_UNPUSHED = auto()
    """LOST, and nothing was pushed yet."""
    LOST_HOPELESS = auto()
    """LOST, and no push can reach the app either."""
    STALE_ANSWERED = auto()
    """ANSWERED to an INVITE that was given up."""


ELAPSED: Final = {
    Timer.REACT: Kind.REACT_ELAPSED,
    Timer.ANSWER: Kind.ANSWER_ELAPSED,
    Timer.REPEAT: Kind.REPEAT_ELAPSED,
    Timer.SILENCE: Kind.SILENCE_ELAPSED,
    Timer.CLEAR: Kind.CLEAR_ELAPSED,
    Timer.LONGEST: Kind.LONGEST_ELAPSED,
}

FINALS: Final = frozenset({Kind.ANSWERED, Kind.DECLINED, Kind.REFUSED, Kind.LOST})
"""Kinds that settle an INVITE to the app."""

OF_A_CLAIM: Final = FINALS | {Kind.RANG}
"""Kinds that speak about one INVITE to the app, named by `claim`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `claim` numbers the INVITE to the app that it speaks about; `status` is the app's final
    response; `ending` is what the Reason of a CANCEL says (RFC 3326).
    """

    kind: Kind
    claim: int = 0
    status: int = 0
    ending: CallState = CallState.CANCELLED
