"""From a result to the row that is written back.

Refuses clocks: `now` is an argument.
"""

from sipis.model import InstanceState
from sipis.registrant.schedule import Decision, Facts, Outcome, Result
from sipis.store.schedule import Binding, Claim, Settlement


def facts_of(claim: Claim) -> Facts:
    """What the schedule's rules need to know of a row."""
    return Facts(
        failures=claim.failures,
        refusals=claim.refusals,
        proven=claim.proven,
        bound_until=claim.bound_until or 0.0,
        expires_at=claim.expires_at,
    )


def registered(
    claim: Claim,
    result: Result,
    decision: Decision,
    *,
    binding: Binding | None,
    uses: int,
    flow: int,
) -> Settlement:
    """A binding that stands; `binding` None leaves its traces as they were."""
    return Settlement(
        n=claim.n,
        generation=claim.generation,
        cseq=claim.cseq,
        next_attempt_at=decision.next_attempt_at,
        state=decision.state,
        reason=decision.reason,
        last_status=result.status,
        granted=result.granted,
        bound_until=decision.bound_until,
        binding=binding,
        nonce_count=uses,
        flow=flow,
    )


def failed(claim: Claim, result: Result, decision: Decision, flow: int) -> Settlement:
    """A failure; the binding that may still live stays as it was, on `flow` if on any."""
    return Settlement(
        n=claim.n,
        generation=claim.generation,
        cseq=claim.cseq,
        next_attempt_at=decision.next_attempt_at,
        state=decision.state,
        reason=decision.reason,
        last_status=result.status,
        failures=decision.failures,
        refusals=decision.refusals,
        granted=claim.granted,
        bound_until=decision.bound_until or None,
        flow=flow,
    )


def idle(claim: Claim, result: Result, now: float) -> Settlement:
    """The app has the registration; a binding that could not be removed lapses by itself.

    Due now means: when the app's hold ends, which the store knows.
    """
    return Settlement(
        n=claim.n,
        generation=claim.generation,
        cseq=claim.cseq,
        next_attempt_at=now,
        state=InstanceState.IDLE,
        reason="foreground",
        last_status=result.status,
        failures=claim.failures,
        refusals=claim.refusals,
    )


def is_news(claim: Claim, result: Result, now: float) -> bool:
    """Whether the app's view changes; a refresh that went well is none."""
    if result.outcome is Outcome.PROVIDER_PAUSED:
        return False
    if result.outcome is not Outcome.REGISTERED:
        return True
    return bool(claim.failures or claim.refusals) or (claim.bound_until or 0.0) <= now
