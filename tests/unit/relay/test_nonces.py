"""Nonces that need no memory."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.relay.nonces import LIFETIME, Nonces, Verdict
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.headers import Credentials

FLOW = Flow(1, Door.APP, Transport.TCP, ("127.0.0.1", 5070), ("192.0.2.1", 4000))


def credentials(nonce: str, count: str | None = "00000001") -> Credentials:
    nc = "" if count is None else f", nc={count}"
    return Credentials.parse(f'Digest username="u", nonce="{nonce}"{nc}')


def test_a_nonce_is_good_once_for_each_count() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.new(FLOW, 100.0)
    assert nonces.judge(credentials(nonce), FLOW, 101.0) is Verdict.FRESH
    assert nonces.judge(credentials(nonce), FLOW, 101.0) is Verdict.STALE
    assert nonces.judge(credentials(nonce, "00000002"), FLOW, 102.0) is Verdict.FRESH


def test_two_nonces_of_one_moment_differ() -> None:
    nonces = Nonces(b"key")
    assert nonces.new(FLOW, 100.0) != nonces.new(FLOW, 100.0)


def test_an_old_nonce_is_stale() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.new(FLOW, 100.0)
    late = nonces.judge(credentials(nonce), FLOW, 100.1 + LIFETIME)
    assert late is Verdict.STALE


@pytest.mark.parametrize(
    "other",
    [
        replace(FLOW, id=2),
        replace(FLOW, remote=("192.0.2.2", 4000)),
        replace(FLOW, remote=("192.0.2.1", 4001)),
        replace(FLOW, transport=Transport.TLS),
    ],
)
def test_a_nonce_seen_on_another_flow_is_foreign(other: Flow) -> None:
    nonces = Nonces(b"key")
    nonce = nonces.new(FLOW, 100.0)
    assert nonces.judge(credentials(nonce), other, 100.0) is Verdict.FOREIGN


def test_a_nonce_of_another_process_is_foreign() -> None:
    nonce = Nonces(b"other").new(FLOW, 100.0)
    assert Nonces(b"key").judge(credentials(nonce), FLOW, 100.0) is Verdict.FOREIGN


def test_a_client_without_counts_may_use_a_nonce_once() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.new(FLOW, 100.0)
    assert nonces.judge(credentials(nonce, None), FLOW, 100.0) is Verdict.FRESH
    assert nonces.judge(credentials(nonce, None), FLOW, 100.0) is Verdict.STALE


@pytest.mark.parametrize("count", ["", "zz", "123456789", "0"])
def test_a_count_that_is_none_is_never_fresh(count: str) -> None:
    nonces = Nonces(b"key")
    nonce = nonces.new(FLOW, 100.0)
    assert nonces.judge(credentials(nonce, count or '""'), FLOW, 100.0) is Verdict.STALE


def test_counts_of_nonces_that_are_past_are_forgotten() -> None:
    nonces = Nonces(b"key")
    old, later = nonces.new(FLOW, 100.0), nonces.new(FLOW, 101.0 + LIFETIME)
    nonces.judge(credentials(old), FLOW, 100.5)
    nonces.judge(credentials(later), FLOW, 101.0 + LIFETIME)
    assert list(nonces._counts) == [later]


def test_memory_of_counts_is_bounded() -> None:
    nonces = Nonces(b"key", most_counted=3)
    for _ in range(10):
        nonces.judge(credentials(nonces.new(FLOW, 100.0)), FLOW, 100.0)
    assert len(nonces._counts) == 3


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_a_guess_is_foreign(guess: str) -> None:
    from sipis.sip.params import Params

    made = Credentials("Digest", Params((("nonce", f'"{guess}"'.replace("\\", "")),)))
    assert Nonces(b"key").judge(made, FLOW, 0.0) is Verdict.FOREIGN
