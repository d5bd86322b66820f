import pytest

from sipis.push.outcome import (
    Accepted,
    Ambiguous,
    DeadTarget,
    Faulty,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.push.persistence import Again, Persistence
from sipis.push.tables import APNS, FCM

WRONG_ENVIRONMENT = DeadTarget("BadDeviceToken", other_environment=True)


def persistence(
    *, call: bool = True, ever_accepted: bool = False, jitter: float = 0.0
) -> Persistence:
    return Persistence(is_call=call, ever_accepted=ever_accepted, jitter=lambda: jitter)


def pauses(persist: Persistence, outcome: PushOutcome, times: int) -> list[float | None]:
    answers = [persist.after(outcome) for _ in range(times)]
    return [None if again is None else again.after for again in answers]


@pytest.mark.parametrize(
    "outcome", [Accepted(), DeadTarget("x"), Misconfigured("x"), Faulty("x")], ids=repr
)
def test_what_is_final_is_final(outcome: PushOutcome) -> None:
    assert persistence().after(outcome) is None


def test_a_failed_connection_is_tried_again_at_a_call_s_pace() -> None:
    assert pauses(persistence(), Retry("connect"), 5) == [0.2, 0.5, 1.0, 2.0, 4.0]


def test_jitter_only_ever_lengthens_a_pause() -> None:
    (pause,) = pauses(persistence(jitter=1.0), Retry("connect"), 1)
    assert pause == pytest.approx(0.24)


def test_a_wish_of_zero_is_granted_once_and_then_paced() -> None:
    assert pauses(persistence(), APNS[503, "Shutdown"], 3) == [0.0, 0.5, 1.0]


def test_throttling_doubles_and_a_call_gets_one_more_attempt() -> None:
    throttled = APNS[429, "TooManyRequests"]
    assert pauses(persistence(call=False), throttled, 3) == [1.0, 2.0, 4.0]
    assert pauses(persistence(call=True), throttled, 2) == [1.0, None]


def test_an_ambiguous_call_is_sent_once_more_and_a_message_again_and_again() -> None:
    assert pauses(persistence(call=True), Ambiguous("deadline"), 2) == [0.2, None]
    assert None not in pauses(persistence(call=False), Ambiguous("deadline"), 5)


def test_a_refused_token_is_replaced_once() -> None:
    for refused in (APNS[403, "ExpiredProviderToken"], FCM[401, "UNAUTHENTICATED"]):
        assert pauses(persistence(), refused, 2) == [0.0, None]


def test_too_large_a_payload_is_sent_once_more_with_ids_only() -> None:
    persist = persistence()
    assert persist.after(TooLarge("x")) == Again(0.0, minimal=True)
    assert persist.after(TooLarge("x")) is None


def test_an_unproven_token_is_tried_once_in_the_other_environment() -> None:
    persist = persistence()
    assert persist.after(WRONG_ENVIRONMENT) == Again(0.0, other_environment=True)
    assert persist.after(WRONG_ENVIRONMENT) is None


def test_a_proven_token_never_changes_its_environment() -> None:
    assert persistence(ever_accepted=True).after(WRONG_ENVIRONMENT) is None


def test_a_call_s_attempt_is_short_enough_for_two_in_its_ring_time() -> None:
    assert persistence(call=True).timeout <= 3
    assert persistence(call=False).timeout > 3
