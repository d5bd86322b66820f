"""What became of one push at a push service.

Refuses exceptions: every answer, and every absence of one, is one of these values. `reason` is a
word of a fixed list (tables.py or below), so that it may become a metric label.
"""

from dataclasses import dataclass
from typing import Final

CONNECT: Final = "connect"
DEADLINE: Final = "deadline"
LOST: Final = "lost"
RESET: Final = "reset"
OAUTH: Final = "oauth"
UNKNOWN: Final = "unknown"
NO_ACCOUNT: Final = "no_account"
NO_KEY: Final = "no_key"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took the push; that is no proof of delivery."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeadTarget:
    """The token will never work again, if it was registered before `since` (Unix seconds)."""

    reason: str
    since: float | None = None
    other_environment: bool = False
    """The token may belong to the other APNs environment."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing is wrong with the target: try again, after so many seconds where the service says."""

    reason: str
    after: float | None = None
    most: int | None = None
    """How many further attempts this reason deserves; None: as many as the deadline allows."""
    most_urgent: int | None = None
    """The same for calls."""
    fresh_connection: bool = False
    stale_token: bool = False
    """Our access token was refused: the next attempt needs a new one."""


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The operator's account or key is wrong; no target is to blame."""

    reason: str
    whole_app: bool = True
    """False where the fault lies with this one target (a token of another topic)."""
    stale_token: bool = False
    """The key may have been replaced since our access token was signed."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """The service found our request wrong: a bug of ours."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The payload was too large: one more attempt with ids only."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The push may or may not have been taken: no answer came."""

    reason: str
    most_urgent: int | None = 1


PushOutcome = Accepted | DeadTarget | Retry | Misconfigured | Faulty | TooLarge | Ambiguous

WORDS: Final[dict[type, str]] = {
    Accepted: "accepted",
    DeadTarget: "dead",
    Retry: "retry",
    Misconfigured: "misconfigured",
    Faulty: "faulty",
    TooLarge: "too_large",
    Ambiguous: "ambiguous",
}
"""The metric label of each outcome."""
