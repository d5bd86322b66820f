"""What follows from an outcome: next attempt, state, reason."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.model import InstanceState
from sipis.registrant.schedule import (
    FLOOR,
    REFUSALS_BEFORE_STOP,
    RULES,
    TRANSIENT,
    Facts,
    Outcome,
    Result,
    believable_min_expires,
    decide,
    refresh_after,
    requested_expires,
)

NOW = 1_800_000_000.0
jitters = st.floats(0, 1, exclude_max=True)


def wait(result: Result, facts: Facts | None = None, jitter: float = 0.5) -> float:
    planned = decide(result, facts or Facts(), NOW, jitter).next_attempt_at
    assert planned is not None
    return planned - NOW


def test_every_outcome_has_a_rule() -> None:
    assert set(RULES) == set(Outcome)


@given(st.integers(20, 86_400), jitters)
def test_a_refresh_falls_between_half_and_nine_tenths_of_the_grant(
    granted: int, jitter: float
) -> None:
    assert granted * 0.5 <= 1e-3 + wait(Result(Outcome.REGISTERED, 200, granted), jitter=jitter)
    assert wait(Result(Outcome.REGISTERED, 200, granted), jitter=jitter) <= granted * 0.9 + 1e-3


def test_two_phones_with_equal_grants_refresh_at_different_times() -> None:
    assert refresh_after(3600, 0.1) != refresh_after(3600, 0.2)


def test_a_grant_of_five_seconds_does_not_make_us_hammer() -> None:
    assert refresh_after(5, 0.0) == FLOOR


def test_a_grant_of_a_week_is_refreshed_within_a_day() -> None:
    assert 3600 <= refresh_after(7 * 86_400, 0.99) <= 86_400


def test_success_clears_failures_and_refusals() -> None:
    plan = decide(Result(Outcome.REGISTERED, 200, 3600), Facts(9, 2), NOW, 0.5)
    assert (plan.failures, plan.refusals, plan.state) == (0, 0, InstanceState.REGISTERED)
    assert plan.bound_until == NOW + 3600


@pytest.mark.parametrize(
    ("failures", "bound"), [(0, 60), (1, 120), (4, 960), (5, 1800), (99, 1800)]
)
def test_transient_failures_back_off_as_rfc_5626_says(failures: int, bound: float) -> None:
    for jitter in (0.0, 0.999):
        waited = wait(Result(Outcome.TIMEOUT), Facts(failures), jitter)
        assert bound * 0.5 <= waited + 1e-3 <= bound + 2e-3


@given(st.integers(0, 10_000), jitters)
def test_back_off_never_exceeds_half_an_hour(failures: int, jitter: float) -> None:
    assert TRANSIENT.wait(failures, jitter) <= 1800


@given(st.integers(0, 100_000), jitters)
def test_retry_after_wins_over_our_own_back_off(seconds: int, jitter: float) -> None:
    waited = wait(Result(Outcome.OVERLOADED, 503, retry_after=seconds), Facts(5), jitter)
    asked = max(seconds, FLOOR)
    assert asked <= waited + 1e-3
    assert waited <= asked * 1.2 + 1e-3


def test_an_absurd_retry_after_ends_with_the_life_of_the_instance() -> None:
    facts = Facts(expires_at=NOW + 5000)
    assert wait(Result(Outcome.OVERLOADED, 503, retry_after=10**9), facts) == 5000


def test_credentials_that_never_succeeded_stop_after_one_confirmed_refusal() -> None:
    plan = decide(Result(Outcome.WRONG_PASSWORD, 401), Facts(), NOW, 0.5)
    assert plan.next_attempt_at is None
    assert plan.state is InstanceState.UNAUTHORIZED
    assert plan.reason == "wrong_password"


def test_proven_credentials_are_tried_three_times_with_growing_pauses() -> None:
    facts, pauses = Facts(proven=True), []
    for _ in range(REFUSALS_BEFORE_STOP):
        plan = decide(Result(Outcome.WRONG_PASSWORD, 401), facts, NOW, 0.5)
        pauses.append(plan.next_attempt_at)
        facts = Facts(plan.failures, plan.refusals, proven=True)
    assert pauses[-1] is None
    assert pauses[0] is not None
    assert pauses[1] is not None
    assert 300 <= pauses[0] - NOW < pauses[1] - NOW <= 1800


def test_a_403_alone_never_stops_anything() -> None:
    facts = Facts()
    for _ in range(50):
        plan = decide(Result(Outcome.FORBIDDEN, 403), facts, NOW, 0.5)
        assert plan.next_attempt_at is not None
        assert plan.next_attempt_at - NOW >= 300
        facts = Facts(plan.failures, plan.refusals)


def test_a_realm_that_the_vault_does_not_know_asks_for_new_credentials() -> None:
    plan = decide(Result(Outcome.NO_CREDENTIALS, 401), Facts(), NOW, 0.5)
    assert plan.state is InstanceState.UNAUTHORIZED
    assert plan.reason == "needs_credentials"


def test_a_failed_refresh_leaves_a_living_binding_registered() -> None:
    plan = decide(Result(Outcome.TIMEOUT), Facts(bound_until=NOW + 100), NOW, 0.5)
    assert plan.state is InstanceState.REGISTERED
    assert plan.reason == "timeout"


def test_a_200_without_our_contact_is_not_registered() -> None:
    plan = decide(Result(Outcome.NOT_BOUND, 200), Facts(), NOW, 0.5)
    assert plan.state is InstanceState.ERROR


def test_a_paused_provider_costs_the_account_nothing() -> None:
    plan = decide(Result(Outcome.PROVIDER_PAUSED, retry_after=40), Facts(3, 1), NOW, 0.5)
    assert (plan.failures, plan.refusals) == (3, 1)
    assert plan.next_attempt_at == pytest.approx(NOW + 44)


@given(
    st.sampled_from([one for one in Outcome if one is not Outcome.RELEASED]),
    st.integers(0, 100),
    st.booleans(),
    st.one_of(st.none(), st.floats(0, 1e9)),
    jitters,
)
def test_every_phone_is_stopped_for_its_credentials_or_has_a_next_attempt(
    outcome: Outcome, failures: int, proven: bool, retry_after: float | None, jitter: float
) -> None:
    facts = Facts(failures, min(failures, 2), proven, expires_at=NOW + 86_400)
    plan = decide(Result(outcome, 0, 3600, retry_after), facts, NOW, jitter)
    if plan.next_attempt_at is None:
        assert plan.state is InstanceState.UNAUTHORIZED
    else:
        assert plan.next_attempt_at > NOW
        assert math.isfinite(plan.next_attempt_at)


def test_the_interval_asked_for_respects_provider_and_ttl() -> None:
    assert requested_expires(3600, 0, NOW + 86_400, NOW) == 3600
    assert requested_expires(3600, 7200, NOW + 86_400, NOW) == 7200
    assert requested_expires(3600, 0, NOW + 300, NOW) == 300
    assert requested_expires(3600, 0, NOW - 5, NOW) == 60


@pytest.mark.parametrize("asked", [None, 0, 3600, 100, 86_401, 10**9])
def test_a_423_without_a_sensible_interval_is_not_retried(asked: int | None) -> None:
    assert believable_min_expires(asked, 3600) is None


def test_a_423_with_a_longer_interval_is_believed() -> None:
    assert believable_min_expires(7200, 3600) == 7200
