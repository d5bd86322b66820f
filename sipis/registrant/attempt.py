"""One attempt to register, as a machine: what to do next after each response.

An attempt is up to a handful of REGISTERs with one Call-ID: the first, an answer to each challenge,
one retry with the interval that a 423 asked for, one without optional headers, and one for each
further address of the registrar. It ends with a Result for the schedule.
Refuses I/O, and refuses to follow redirections: a 3xx could lead credentials anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from sipis.registrant.schedule import Outcome, Result, believable_min_expires
from sipis.sip.digest import DigestChallenge

MOST_ROUNDS: Final = 3
"""Challenges answered in one attempt; more is a loop (RFC 3261 22.1)."""


class Meaning(Enum):
    """What a final status says to a REGISTER."""

    OK = auto()
    CHALLENGE = auto()
    TOO_BRIEF = auto()
    MISFIT = auto()
    FORBIDDEN = auto()
    UNKNOWN_USER = auto()
    UNAVAILABLE = auto()
    TIMEOUT = auto()
    OVERLOADED = auto()
    TRY_ELSEWHERE = auto()
    REDIRECTION = auto()


_BY_STATUS: Final = {
    401: Meaning.CHALLENGE,
    407: Meaning.CHALLENGE,
    423: Meaning.TOO_BRIEF,
    400: Meaning.MISFIT,
    420: Meaning.MISFIT,
    421: Meaning.MISFIT,
    439: Meaning.MISFIT,
    494: Meaning.MISFIT,
    403: Meaning.FORBIDDEN,
    404: Meaning.UNKNOWN_USER,
    410: Meaning.UNKNOWN_USER,
    604: Meaning.UNKNOWN_USER,
    408: Meaning.TIMEOUT,
    503: Meaning.TRY_ELSEWHERE,
}

_BY_CLASS: Final = {
    2: Meaning.OK,
    3: Meaning.REDIRECTION,
    4: Meaning.UNAVAILABLE,
    5: Meaning.OVERLOADED,
    6: Meaning.UNAVAILABLE,
}

_ENDINGS: Final = {
    Meaning.FORBIDDEN: Outcome.FORBIDDEN,
    Meaning.UNKNOWN_USER: Outcome.UNKNOWN_USER,
    Meaning.UNAVAILABLE: Outcome.UNAVAILABLE,
    Meaning.TIMEOUT: Outcome.TIMEOUT,
    Meaning.OVERLOADED: Outcome.OVERLOADED,
    Meaning.TRY_ELSEWHERE: Outcome.OVERLOADED,
    Meaning.REDIRECTION: Outcome.REDIRECTED,
    Meaning.MISFIT: Outcome.MISFIT,
    Meaning.TOO_BRIEF: Outcome.TOO_BRIEF,
}


def meaning(status: int) -> Meaning:
    """What a final status (200 to 699) means for a registration."""
    return _BY_STATUS.get(status) or _BY_CLASS[status // 100]


class Step(Enum):
    """What to send next."""

    ANSWER = auto()
    ASK_LONGER = auto()
    ASK_PLAINLY = auto()
    NEXT_TARGET = auto()


@dataclass(slots=True)
class Attempt:
    """The memory of one attempt.

    `offered` is the interval asked for; `plain` leaves optional headers out; `reused` says that the
    last REGISTER carried nothing but answers to nonces that were used before; `answered` holds who
    has had an answer to a fresh nonce in it.
    """

    offered: int
    targets_left: int = 0
    plain: bool = False
    reused: bool = False
    lengthened: bool = False
    rounds: int = 0
    answered: set[tuple[bool, str]] = field(default_factory=set)

    def refused_with(
        self, status: int, *, retry_after: float | None = None, min_expires: int | None = None
    ) -> Step | Result:
        """The next step after a final response that is neither 2xx nor a challenge."""
        means = meaning(status)
        if means is Meaning.TOO_BRIEF and self._may_ask_longer(min_expires):
            return self._ask_again(Step.ASK_LONGER)
        if means is Meaning.MISFIT and not self.plain:
            self.plain = True
            return self._ask_again(Step.ASK_PLAINLY)
        if means is Meaning.TRY_ELSEWHERE and self.targets_left:
            return self._next_target()
        return Result(_ENDINGS[means], status, retry_after=retry_after)

    def challenged_with(self, status: int, challenges: Sequence[DigestChallenge]) -> Step | Result:
        """The next step after a 401 or 407 with these challenges.

        A challenge to a nonce that was used before is never a wrong password, stale or not: the
        registrar may have restarted or hand out each nonce once. After an answer to a fresh nonce
        a challenge of the same realm that is not stale is one (RFC 7616 3.5).
        """
        if not challenges:
            return Result(Outcome.NO_CREDENTIALS, status)
        if self.reused:
            self.reused = False
        elif self._seen(challenges) and not any(one.stale for one in challenges):
            return Result(Outcome.WRONG_PASSWORD, status)
        self.rounds += 1
        if self.rounds > MOST_ROUNDS:
            return Result(Outcome.CHALLENGE_LOOP, status)
        self.answered = {(one.proxy, one.realm) for one in challenges}
        return Step.ANSWER

    def unanswered(self, outcome: Outcome) -> Step | Result:
        """The next step after silence or a lost flow."""
        if self.targets_left:
            return self._next_target()
        return Result(outcome)

    def _seen(self, challenges: Sequence[DigestChallenge]) -> bool:
        return any((one.proxy, one.realm) in self.answered for one in challenges)

    def _may_ask_longer(self, min_expires: int | None) -> bool:
        longer = believable_min_expires(min_expires, self.offered)
        if longer is None or self.lengthened or self.offered == 0:
            return False
        self.lengthened = True
        self.offered = longer
        return True

    def _ask_again(self, step: Step) -> Step:
        """The same answers go out once more."""
        self.reused = self.reused or bool(self.answered)
        return step

    def _next_target(self) -> Step:
        """A new address knows nothing of the challenges of the last one."""
        self.targets_left -= 1
        self.answered.clear()
        self.reused = False
        return Step.NEXT_TARGET
