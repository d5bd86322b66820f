"""What a call remembers beside its state, and the policy that it follows.

Refuses decisions: facts are set by actions and asked by conditions, both named here and there.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from typing import Final

from sipis.config import Ring
from sipis.model import CallState
from sipis.relay.call.events import Timer

LONGEST_CALL: Final = 12 * 3600.0
CLEAR_AFTER: Final = 32.0
"""64*T1 (RFC 3261 9.1): then a cancelled INVITE counts as ended."""

PUSH_STATUS: Final = ("Alerting-Device", "Push-Notification-Sent", "Device-Making-Progress")


class PushStatus(IntEnum):
    """How far a call has got, as X-Sipis-Push-Status tells; it never goes back."""

    NONE = -1
    ALERTING = 0
    SENT = 1
    PROGRESS = 2

    @property
    def text(self) -> str:
        """The value of the header."""
        return PUSH_STATUS[self]


class Pushed(Enum):
    """What became of the push."""

    NOT = auto()
    UNDER_WAY = auto()
    ACCEPTED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Policy:
    """How a call rings and how it is refused; durations in seconds."""

    ring: Ring = "push-accepted"
    react_timeout: float = 20.0
    answer_timeout: float = 60.0
    repeat_every: float = 50.0
    silence_timeout: float = 1.0
    no_answer_status: int = 480
    decline_status: int = 486
    progress: bool = True


@dataclass(slots=True)
class Facts:
    """The memory of one call.

    `claim` numbers the latest INVITE to the app, `unsettled` holds those without a final response,
    `heard` says that the latest has had a provisional one, `overdue` that it should have had one,
    `renewed` that the app has come on a newer flow since. `untold` is how the call ended, if the
    app is to learn that from a CANCEL alone.
    """

    policy: Policy
    claim: int = 0
    unsettled: set[int] = field(default_factory=set)
    heard: bool = False
    overdue: bool = False
    renewed: bool = False
    untold: CallState | None = None
    pushed: Pushed = Pushed.NOT
    shown: PushStatus = PushStatus.NONE
    running: set[Timer] = field(default_factory=set)
