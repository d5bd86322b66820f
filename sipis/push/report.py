"""What became of an announcement, target by target.

Refuses to destroy: it says which targets are dead; the lifecycle compares and clears.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sipis.model import Environment
from sipis.push.gate import Why
from sipis.push.outcome import Accepted, Ambiguous, DeadTarget, PushOutcome
from sipis.push.provider import AddressedTarget


@dataclass(frozen=True, slots=True)
class Unsent:
    """The push was dropped before any service saw it."""

    why: Why

    @property
    def reason(self) -> str:
        """The reason as a metric label."""
        return self.why.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last outcome of a target, and the environment that gave it."""

    target: AddressedTarget
    outcome: PushOutcome | Unsent
    environment: Environment

    @property
    def accepted(self) -> bool:
        """Whether the service took the push."""
        return isinstance(self.outcome, Accepted)

    @property
    def dead(self) -> bool:
        """Whether the target will never work again.

        A late 410 says nothing about a token registered after its time stamp, and a BadDeviceToken
        nothing about a token that has worked before: that is a wrong environment, not a dead phone.
        """
        outcome = self.outcome
        if not isinstance(outcome, DeadTarget):
            return False
        if outcome.other_environment and self.target.ever_accepted:
            return False
        return outcome.since is None or self.target.registered_at < outcome.since


@dataclass(frozen=True, slots=True)
class PushReport:
    """All verdicts of one announcement."""

    accepted: int
    failed: tuple[Verdict, ...]
    """Neither accepted nor dead."""
    dead: tuple[Verdict, ...]

    @property
    def doubtful(self) -> int:
        """Of how many targets nobody knows whether the service took the push: no answer came."""
        return sum(isinstance(each.outcome, Ambiguous) for each in self.failed)


def report_of(verdicts: Sequence[Verdict]) -> PushReport:
    """Sort verdicts into a report."""
    return PushReport(
        accepted=sum(each.accepted for each in verdicts),
        failed=tuple(each for each in verdicts if not each.accepted and not each.dead),
        dead=tuple(each for each in verdicts if each.dead),
    )
