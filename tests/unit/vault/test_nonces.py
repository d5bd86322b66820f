import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import VaultError
from sipis.sip.digest import Algorithm, DigestChallenge
from sipis.vault import NonceState

MAYBE = st.none() | st.text(max_size=10)
STATES = st.builds(
    NonceState,
    st.booleans(),
    st.text(max_size=10),
    st.text(max_size=10),
    st.sampled_from(Algorithm),
    st.none() | st.sampled_from(["auth", "auth-int"]),
    MAYBE,
    st.booleans(),
    st.integers(0, 2**32),
    st.text(max_size=10),
)


@given(STATES)
def test_a_state_survives_as_text(state: NonceState) -> None:
    text = state.to_text()
    assert NonceState.from_text(text) == state
    assert "\n" not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1,2]",
        "7",
        '[2,0,"r","n","MD5",null,null,0,1,"c"]',
        '[1,0,"r","n","ROT13",null,null,0,1,"c"]',
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(VaultError):
        NonceState.from_text(text)


def test_each_answer_counts_one_up_and_takes_a_new_client_nonce() -> None:
    challenge = DigestChallenge("r", "n", Algorithm.SHA256, ("auth",), opaque="o")
    state = NonceState.of(challenge, "c0").next("c1").next("c2")
    assert (state.uses, state.cnonce, state.qop) == (2, "c2", "auth")
    assert (state.realm, state.nonce, state.opaque) == ("r", "n", "o")


def test_a_session_algorithm_keeps_the_client_nonce_that_its_key_was_made_from() -> None:
    state = NonceState.of(DigestChallenge("r", "n", Algorithm.MD5_SESS, ("auth",)), "c0")
    assert state.next("c1").cnonce == "c0"
