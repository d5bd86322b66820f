import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import SealBroken
from sipis.vault.envelope import (
    _FORMER,
    NONCE_LENGTH,
    OVERHEAD,
    Cipher,
    framed,
    keyed_hash,
    pad,
    subkey,
    unpad,
)

KEY = bytes(range(32))
NONCE = b"n" * NONCE_LENGTH
FIELDS = st.lists(st.one_of(st.text(), st.binary(), st.integers(0, 2**64 - 1)), max_size=5)


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_what_was_sealed_opens_with_the_same_key_and_bound_names(text: bytes, bound: bytes) -> None:
    sealed = Cipher(KEY).seal(text, nonce=NONCE, bound=bound)
    assert Cipher(KEY).open(sealed, bound=bound) == text
    assert len(sealed) == len(text) + OVERHEAD


@given(st.data())
def test_any_changed_byte_keeps_it_shut(data: st.DataObject) -> None:
    sealed = bytearray(Cipher(KEY).seal(b"text", nonce=NONCE, bound=b"names"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        Cipher(KEY).open(bytes(sealed), bound=b"names")


def test_other_names_or_another_key_keep_it_shut() -> None:
    sealed = Cipher(KEY).seal(b"text", nonce=NONCE, bound=b"names")
    with pytest.raises(SealBroken):
        Cipher(KEY).open(sealed, bound=b"other")
    with pytest.raises(SealBroken):
        Cipher(bytes(32)).open(sealed, bound=b"names")


def test_k12_an_unknown_algorithm_byte_fails_closed() -> None:
    sealed = Cipher(KEY).seal(b"text", nonce=NONCE, bound=b"names")
    with pytest.raises(SealBroken, match="algorithm"):
        Cipher(KEY).open(b"\x02" + sealed[1:], bound=b"names")
    with pytest.raises(SealBroken):
        Cipher(KEY).open(b"", bound=b"names")


def test_k12_after_another_algorithm_took_over_what_the_former_sealed_still_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = Cipher(KEY).seal(b"text", nonce=NONCE, bound=b"names")
    monkeypatch.setattr("sipis.vault.envelope._ALGORITHM", b"\x02")
    monkeypatch.setattr("sipis.vault.envelope.AESGCM", ChaCha20Poly1305)
    monkeypatch.setitem(_FORMER, b"\x01", AESGCM)
    new = Cipher(KEY).seal(b"text", nonce=NONCE, bound=b"names")
    assert (old[:1], new[:1]) == (b"\x01", b"\x02")
    for sealed in (old, new):
        assert Cipher(KEY).open(sealed, bound=b"names") == b"text"
    with pytest.raises(SealBroken):
        Cipher(KEY).open(b"\x02" + old[1:], bound=b"names")


def test_it_is_plain_aes_256_gcm_with_the_algorithm_byte_bound() -> None:
    sealed = Cipher(KEY).seal(b"text", nonce=NONCE, bound=b"names")
    assert sealed == b"\x01" + NONCE + AESGCM(KEY).encrypt(NONCE, b"text", b"\x01names")


@given(FIELDS, FIELDS)
def test_different_lists_of_fields_never_frame_alike(
    one: list[str | bytes | int], two: list[str | bytes | int]
) -> None:
    def plain(fields: list[str | bytes | int]) -> list[bytes]:
        return [
            f.encode()
            if isinstance(f, str)
            else f
            if isinstance(f, bytes)
            else f.to_bytes(8, "big")
            for f in fields
        ]

    assert (framed(*one) == framed(*two)) == (plain(one) == plain(two))


def test_a_subkey_differs_by_purpose_use_and_key() -> None:
    keys = {
        subkey(KEY, "account", 1),
        subkey(KEY, "account", 2),
        subkey(KEY, "targets", 1),
        subkey(KEY, "targets1"),
        subkey(bytes(32), "account", 1),
    }
    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}


def test_an_index_is_no_subkey() -> None:
    assert keyed_hash(KEY, "account") != subkey(KEY, "account")


@given(st.binary(max_size=1100))
def test_padding_fills_the_smallest_class_or_says_that_none_fits(text: bytes) -> None:
    padded = pad(text, (512, 1024))
    if padded is None:
        assert len(text) + 4 + OVERHEAD > 1024
        return
    assert unpad(padded) == text
    assert len(padded) + OVERHEAD == (512 if len(text) + 4 + OVERHEAD <= 512 else 1024)
