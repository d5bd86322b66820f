import os

from hypothesis import given
from hypothesis import strategies as st

from sipis.lifecycle import bearer


def test_a_secret_is_256_random_bits_and_a_code_128() -> None:
    assert len(bearer.new_secret(os.urandom)) == 64
    assert len(bearer.new_code(os.urandom)) == 32
    assert bearer.new_secret(os.urandom) != bearer.new_secret(os.urandom)


@given(st.text())
def test_any_text_may_be_tried_and_only_the_secret_matches(text: str) -> None:
    secret = "5e" * 32
    assert bearer.matches(secret, bearer.hash_of(secret))
    assert bearer.matches(text, bearer.hash_of(secret)) == (text == secret)
    assert not bearer.matches(text, bearer.NOBODY)


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_keys_of_different_apps_never_meet(app: str, key: str, app2: str, key2: str) -> None:
    same = bearer.idempotency_hash(app, key) == bearer.idempotency_hash(app2, key2)
    assert same == ((app, key) == (app2, key2))
