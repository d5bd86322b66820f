"""When to try again: one table from what came of an attempt to the next step, state and reason.

Refuses clocks and chance: `now` (Unix seconds) and `jitter` (0 up to 1) are arguments.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from sipis.model import InstanceState

FLOOR: Final = 10.0
"""No binding is refreshed more often than this, however little a registrar grants."""

LONGEST_GRANT: Final = 86_400
"""A longer grant is refreshed as if it were a day, so that a lost NAT binding is noticed."""

LONGEST_MIN_EXPIRES: Final = 86_400
"""A registrar that asks for more in a 423 is not believed."""

REFUSALS_BEFORE_STOP: Final = 3
"""How often credentials that once succeeded may be refused before nothing more is sent."""


class Outcome(StrEnum):
    """What came of one attempt. The values are the reasons that the app reads."""

    REGISTERED = "registered"
    RELEASED = "released"
    NOT_BOUND = "not_bound"
    WRONG_PASSWORD = "wrong_password"
    NO_CREDENTIALS = "needs_credentials"
    CHALLENGE_LOOP = "challenge_loop"
    FORBIDDEN = "forbidden"
    UNKNOWN_USER = "unknown_user"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "provider_error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    REDIRECTED = "redirected"
    MISFIT = "not_understood"
    TOO_BRIEF = "interval_too_brief"
    PROVIDER_PAUSED = "provider_paused"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Upper bound of the wait: `base * factor ** failures`, never above `most` (seconds)."""

    base: float
    factor: float
    most: float = 1800.0

    def wait(self, failures: int, jitter: float) -> float:
        """Between half and all of the bound after that many failures in a row (RFC 5626 4.5)."""
        bound = self.most
        if failures < 32:  # beyond, the power would only overflow
            bound = min(self.most, self.base * self.factor**failures)
        return bound * (0.5 + 0.5 * jitter)


TRANSIENT: Final = Backoff(30, 2)
PERSISTENT: Final = Backoff(300, 2)
CREDENTIALS: Final = Backoff(200, 3)
AT_ONCE: Final = Backoff(0, 1)


class Blame(Enum):
    """For which accounts an outcome speaks about, or to, the registrar's address.

    A new account may be refused for a hundred reasons of its own; one that has worked, hardly.
    """

    NEVER = "never"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    ALWAYS = "always"

    def falls_on(self, *, proven: bool) -> bool:
        """Whether it applies to an account that has worked before, or to one that has not."""
        return self in (Blame.ALWAYS, Blame.PROVEN if proven else Blame.UNPROVEN)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an outcome means: the state without a live binding, the wait, and whose fault it is.

    `refusal`: the credentials were refused; such outcomes stop an instance, others never do.
    `rebuff`: the address has seen credentials of ours fail, which is what intrusion prevention
    counts. A 403 to an account that has worked says that it is closed: a handful of those, asking
    a few times a day, must not use up what new accounts may try.
    """

    state: InstanceState
    backoff: Backoff
    blames: Blame = Blame.NEVER
    refusal: bool = False
    rebuff: Blame = Blame.NEVER


_ERROR: Final = InstanceState.ERROR

RULES: Final[dict[Outcome, Rule]] = {
    Outcome.REGISTERED: Rule(InstanceState.REGISTERED, AT_ONCE),
    Outcome.RELEASED: Rule(InstanceState.IDLE, AT_ONCE),
    Outcome.NOT_BOUND: Rule(_ERROR, PERSISTENT),
    Outcome.WRONG_PASSWORD: Rule(
        _ERROR, CREDENTIALS, Blame.PROVEN, refusal=True, rebuff=Blame.ALWAYS
    ),
    Outcome.NO_CREDENTIALS: Rule(_ERROR, CREDENTIALS, refusal=True),
    Outcome.CHALLENGE_LOOP: Rule(_ERROR, PERSISTENT, Blame.PROVEN),
    Outcome.FORBIDDEN: Rule(_ERROR, PERSISTENT, Blame.PROVEN, rebuff=Blame.UNPROVEN),
    Outcome.UNKNOWN_USER: Rule(_ERROR, Backoff(900, 2)),
    Outcome.UNAVAILABLE: Rule(_ERROR, TRANSIENT),
    Outcome.OVERLOADED: Rule(_ERROR, TRANSIENT, Blame.ALWAYS),
    Outcome.TIMEOUT: Rule(_ERROR, TRANSIENT, Blame.ALWAYS),
    Outcome.UNREACHABLE: Rule(_ERROR, TRANSIENT, Blame.ALWAYS),
    Outcome.UNTRUSTED: Rule(_ERROR, TRANSIENT, Blame.ALWAYS),
    Outcome.REDIRECTED: Rule(_ERROR, PERSISTENT),
    Outcome.MISFIT: Rule(_ERROR, PERSISTENT),
    Outcome.TOO_BRIEF: Rule(_ERROR, PERSISTENT),
    Outcome.PROVIDER_PAUSED: Rule(InstanceState.REGISTERING, AT_ONCE),
}


class Result(NamedTuple):
    """An outcome with what the registrar said: status (0: nothing), seconds granted, Retry-After.

    For PROVIDER_PAUSED `retry_after` is the remaining pause.
    """

    outcome: Outcome
    status: int = 0
    granted: int = 0
    retry_after: float | None = None


class Facts(NamedTuple):
    """What the row knows: failures and refusals in a row, ever registered, instants in Unix s."""

    failures: int = 0
    refusals: int = 0
    proven: bool = False
    bound_until: float = 0.0
    expires_at: float = float("inf")


class Decision(NamedTuple):
    """What to write back; `next_attempt_at` None means that nothing is sent until the app acts."""

    next_attempt_at: float | None
    state: InstanceState
    reason: str
    failures: int = 0
    refusals: int = 0
    bound_until: float = 0.0


def decide(result: Result, facts: Facts, now: float, jitter: float) -> Decision:
    """The one place where an outcome becomes a plan."""
    if result.outcome is Outcome.REGISTERED:
        return _registered(result, now, jitter)
    if result.outcome is Outcome.RELEASED:
        return Decision(None, InstanceState.IDLE, Outcome.RELEASED)
    if result.outcome is Outcome.PROVIDER_PAUSED:
        return _paused(result, facts, now, jitter)
    if RULES[result.outcome].refusal:
        return _refused(result, facts, now, jitter)
    return _failed(result, facts, now, jitter)


def refresh_after(granted: int, jitter: float) -> float:
    """Seconds until the refresh: a random 50 to 90 % of the grant, within reason."""
    return max(FLOOR, min(granted, LONGEST_GRANT) * (0.5 + 0.4 * jitter))


def requested_expires(wanted: int, min_expires: int, expires_at: float, now: float) -> int:
    """Seconds to ask for: what is wanted, but not beyond the life of the instance.

    The least that the provider takes wins over both (RFC 3261 10.2.8).
    """
    remaining = int(min(max(expires_at - now, 60), LONGEST_GRANT))
    return max(min(wanted, remaining), min_expires, 1)


def believable_min_expires(asked: int | None, offered: int) -> int | None:
    """The interval to retry a 423 with, or None when it makes no sense to retry."""
    if asked is None or not offered < asked <= LONGEST_MIN_EXPIRES:
        return None
    return asked


def _registered(result: Result, now: float, jitter: float) -> Decision:
    return Decision(
        next_attempt_at=now + refresh_after(result.granted, jitter),
        state=InstanceState.REGISTERED,
        reason="",
        bound_until=now + result.granted,
    )


def _paused(result: Result, facts: Facts, now: float, jitter: float) -> Decision:
    pause = max(result.retry_after or 0.0, 0.1)
    return Decision(
        next_attempt_at=now + pause * (1 + 0.2 * jitter),
        state=_state(InstanceState.REGISTERING, facts, now),
        reason=Outcome.PROVIDER_PAUSED,
        failures=facts.failures,
        refusals=facts.refusals,
        bound_until=facts.bound_until,
    )


def _refused(result: Result, facts: Facts, now: float, jitter: float) -> Decision:
    refusals = facts.refusals + 1
    if refusals >= (REFUSALS_BEFORE_STOP if facts.proven else 1):
        return Decision(
            next_attempt_at=None,
            state=InstanceState.UNAUTHORIZED,
            reason=result.outcome,
            failures=facts.failures + 1,
            refusals=refusals,
            bound_until=facts.bound_until,
        )
    wait = CREDENTIALS.wait(refusals, jitter)
    return _again(result, facts, now, wait, refusals=refusals)


def _failed(result: Result, facts: Facts, now: float, jitter: float) -> Decision:
    wait = RULES[result.outcome].backoff.wait(facts.failures + 1, jitter)
    if result.retry_after is not None:
        asked = max(result.retry_after, FLOOR) * (1 + 0.2 * jitter)
        wait = min(asked, max(facts.expires_at - now, wait))
    return _again(result, facts, now, wait, refusals=facts.refusals)


def _again(result: Result, facts: Facts, now: float, wait: float, *, refusals: int) -> Decision:
    return Decision(
        next_attempt_at=now + wait,
        state=_state(RULES[result.outcome].state, facts, now),
        reason=result.outcome,
        failures=facts.failures + 1,
        refusals=refusals,
        bound_until=facts.bound_until,
    )


def _state(otherwise: InstanceState, facts: Facts, now: float) -> InstanceState:
    """A failed refresh does not undo a binding that the registrar still holds."""
    return InstanceState.REGISTERED if facts.bound_until > now else otherwise
