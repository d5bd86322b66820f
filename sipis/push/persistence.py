"""Whether, when and how a push is tried again.

Refuses to wait: it says how long, the delivery sleeps. Delays are made for ringing phones: the
first retry comes within half a second, since a call is lost long before a classical back-off has
begun.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sipis.push.outcome import Ambiguous, DeadTarget, PushOutcome, Retry, TooLarge

PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
JITTER: Final = 0.2
"""Up to that share is added to a pause, so that what failed together does not return together."""
CALL_TIMEOUT: Final = 2.5
OTHER_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after that many seconds, with these changes."""

    after: float
    minimal: bool = False
    other_environment: bool = False


class Persistence:
    """What one delivery has gone through so far."""

    def __init__(self, *, is_call: bool, ever_accepted: bool, jitter: Callable[[], float]) -> None:
        self._is_call = is_call
        self._ever_accepted = ever_accepted
        self._jitter = jitter
        self._seen: Counter[str] = Counter()
        self._minimal = False
        self._elsewhere = False

    @property
    def timeout(self) -> float:
        """How long one attempt may take, in seconds."""
        return CALL_TIMEOUT if self._is_call else OTHER_TIMEOUT

    def after(self, outcome: PushOutcome) -> Again | None:
        """Return the next attempt, or None when the outcome stands."""
        match outcome:
            case TooLarge() if not self._minimal:
                self._minimal = True
                return Again(0.0, minimal=True)
            case DeadTarget(other_environment=True):
                return self._try_elsewhere()
            case Retry() | Ambiguous():
                return self._try_again(outcome)
            case _:
                return None

    def _try_elsewhere(self) -> Again | None:
        """A token that never worked may belong to the other environment; one that did may not."""
        if self._elsewhere or self._ever_accepted:
            return None
        self._elsewhere = True
        return Again(0.0, other_environment=True)

    def _try_again(self, outcome: Retry | Ambiguous) -> Again | None:
        self._seen[outcome.reason] += 1
        times = self._seen[outcome.reason]
        most = self._allowance(outcome)
        if most is not None and times > most:
            return None
        return Again(self._pause(outcome, times))

    def _allowance(self, outcome: Retry | Ambiguous) -> int | None:
        if self._is_call:
            return outcome.most_urgent
        return outcome.most if isinstance(outcome, Retry) else None

    def _pause(self, outcome: Retry | Ambiguous, times: int) -> float:
        """The service's wish, doubled each time; at once the first time it says 0; else ours."""
        wish = outcome.after if isinstance(outcome, Retry) else None
        if wish == 0.0 and times == 1:
            return 0.0
        total = sum(self._seen.values())
        ours = PAUSES[min(total, len(PAUSES)) - 1]
        pause = wish * float(2 ** (times - 1)) if wish else ours
        return pause * (1 + JITTER * self._jitter())
