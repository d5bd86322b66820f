"""One attempt: which response leads to which next step or end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.registrant.attempt import MOST_ROUNDS, Attempt, Meaning, Step, meaning
from sipis.registrant.schedule import Outcome, Result
from sipis.sip.digest import Algorithm, DigestChallenge


def challenge(
    nonce: str = "n", *, realm: str = "example.com", stale: bool = False, proxy: bool = False
) -> DigestChallenge:
    return DigestChallenge(
        realm=realm,
        nonce=nonce,
        algorithm=Algorithm.MD5,
        qop=("auth",),
        opaque=None,
        stale=stale,
        userhash=False,
        proxy=proxy,
    )


def ended(step: Step | Result) -> Outcome:
    assert isinstance(step, Result)
    return step.outcome


def test_the_first_challenge_is_answered() -> None:
    assert Attempt(3600).challenged_with(401, [challenge()]) is Step.ANSWER


def test_a_second_challenge_that_is_not_stale_is_a_wrong_password() -> None:
    attempt = Attempt(3600)
    attempt.challenged_with(401, [challenge("a")])
    assert ended(attempt.challenged_with(401, [challenge("b")])) is Outcome.WRONG_PASSWORD


def test_a_stale_nonce_is_answered_again() -> None:
    attempt = Attempt(3600)
    attempt.challenged_with(401, [challenge("a")])
    assert attempt.challenged_with(401, [challenge("b", stale=True)]) is Step.ANSWER


@pytest.mark.parametrize("stale", [True, False])
def test_a_refused_nonce_of_an_earlier_attempt_is_never_a_wrong_password(stale: bool) -> None:
    attempt = Attempt(3600, reused=True)
    assert attempt.challenged_with(401, [challenge("b", stale=stale)]) is Step.ANSWER


def test_after_a_refused_old_nonce_a_refused_fresh_one_is_a_wrong_password() -> None:
    attempt = Attempt(3600, reused=True)
    attempt.challenged_with(401, [challenge("a")])
    assert ended(attempt.challenged_with(401, [challenge("b")])) is Outcome.WRONG_PASSWORD


@pytest.mark.parametrize("refusal", [423, 420])
def test_an_answer_sent_again_after_a_refusal_is_one_to_an_old_nonce(refusal: int) -> None:
    attempt = Attempt(60)
    attempt.challenged_with(401, [challenge("a")])
    attempt.refused_with(refusal, min_expires=3600)
    assert attempt.challenged_with(401, [challenge("b")]) is Step.ANSWER
    assert ended(attempt.challenged_with(401, [challenge("c")])) is Outcome.WRONG_PASSWORD


def test_what_a_proxy_let_through_once_is_an_old_nonce_to_it() -> None:
    attempt = Attempt(3600)
    attempt.challenged_with(407, [challenge("a", proxy=True)])
    attempt.challenged_with(401, [challenge("b")])
    assert attempt.challenged_with(407, [challenge("c", proxy=True)]) is Step.ANSWER
    again = attempt.challenged_with(407, [challenge("d", proxy=True)])
    assert ended(again) is Outcome.WRONG_PASSWORD


def test_proxy_and_registrar_may_each_challenge_once() -> None:
    attempt = Attempt(3600)
    assert attempt.challenged_with(407, [challenge(proxy=True)]) is Step.ANSWER
    assert attempt.challenged_with(401, [challenge()]) is Step.ANSWER


def test_ever_new_realms_are_a_loop_and_no_wrong_password() -> None:
    attempt = Attempt(3600)
    for round_ in range(MOST_ROUNDS):
        assert attempt.challenged_with(401, [challenge(realm=f"r{round_}")]) is Step.ANSWER
    assert ended(attempt.challenged_with(401, [challenge(realm="x")])) is Outcome.CHALLENGE_LOOP


def test_endless_staleness_is_a_loop_and_no_wrong_password() -> None:
    attempt = Attempt(3600)
    for _ in range(MOST_ROUNDS):
        attempt.challenged_with(401, [challenge(stale=True)])
    assert ended(attempt.challenged_with(401, [challenge(stale=True)])) is Outcome.CHALLENGE_LOOP


def test_a_challenge_that_we_cannot_read_needs_other_credentials() -> None:
    assert ended(Attempt(3600).challenged_with(401, [])) is Outcome.NO_CREDENTIALS


def test_423_is_retried_once_with_the_interval_asked_for() -> None:
    attempt = Attempt(60)
    assert attempt.refused_with(423, min_expires=3600) is Step.ASK_LONGER
    assert attempt.offered == 3600
    assert ended(attempt.refused_with(423, min_expires=7200)) is Outcome.TOO_BRIEF


def test_an_absurd_423_is_not_retried() -> None:
    assert ended(Attempt(60).refused_with(423, min_expires=10**9)) is Outcome.TOO_BRIEF
    assert ended(Attempt(60).refused_with(423, min_expires=60)) is Outcome.TOO_BRIEF


def test_a_423_to_a_removal_does_not_register_again() -> None:
    assert ended(Attempt(0).refused_with(423, min_expires=3600)) is Outcome.TOO_BRIEF


@pytest.mark.parametrize("status", [400, 420, 421, 439, 494])
def test_what_may_be_our_form_is_retried_once_without_optional_headers(status: int) -> None:
    attempt = Attempt(3600)
    assert attempt.refused_with(status) is Step.ASK_PLAINLY
    assert attempt.plain
    assert ended(attempt.refused_with(status)) is Outcome.MISFIT


def test_503_goes_to_the_next_address_while_there_is_one() -> None:
    attempt = Attempt(3600, targets_left=1)
    assert attempt.refused_with(503) is Step.NEXT_TARGET
    end = attempt.refused_with(503, retry_after=120)
    assert end == Result(Outcome.OVERLOADED, 503, retry_after=120)


def test_silence_goes_to_the_next_address_while_there_is_one() -> None:
    attempt = Attempt(3600, targets_left=1)
    assert attempt.unanswered(Outcome.TIMEOUT) is Step.NEXT_TARGET
    assert ended(attempt.unanswered(Outcome.TIMEOUT)) is Outcome.TIMEOUT


def test_a_redirection_is_not_followed() -> None:
    assert ended(Attempt(3600, targets_left=3).refused_with(302)) is Outcome.REDIRECTED


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (403, Outcome.FORBIDDEN),
        (404, Outcome.UNKNOWN_USER),
        (410, Outcome.UNKNOWN_USER),
        (480, Outcome.UNAVAILABLE),
        (486, Outcome.UNAVAILABLE),
        (603, Outcome.UNAVAILABLE),
        (408, Outcome.TIMEOUT),
        (500, Outcome.OVERLOADED),
        (503, Outcome.OVERLOADED),
    ],
)
def test_other_refusals_end_the_attempt(status: int, outcome: Outcome) -> None:
    assert ended(Attempt(3600).refused_with(status)) is outcome


@given(st.integers(200, 699))
def test_every_final_status_means_something(status: int) -> None:
    assert meaning(status) in Meaning


@given(
    st.lists(
        st.one_of(
            st.integers(300, 699),
            st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()),
            st.sampled_from([Outcome.TIMEOUT, Outcome.UNREACHABLE]),
        ),
        min_size=20,
        max_size=20,
    )
)
def test_no_conversation_goes_on_for_ever(
    events: list[int | tuple[str, bool, bool] | Outcome],
) -> None:
    attempt = Attempt(60, targets_left=3)
    for event in events:
        if isinstance(event, Outcome):
            step = attempt.unanswered(event)
        elif isinstance(event, tuple):
            realm, stale, proxy = event
            step = attempt.challenged_with(401, [challenge(realm=realm, stale=stale, proxy=proxy)])
        elif meaning(event) is Meaning.CHALLENGE:
            step = attempt.challenged_with(event, [challenge()])
        else:
            step = attempt.refused_with(event, min_expires=600)
        if isinstance(step, Result):
            return
    pytest.fail("twenty events did not end the attempt")
