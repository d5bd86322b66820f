import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import StoreError
from sipis.model import InstanceState, Mode
from sipis.store import columns

EARLIEST, LATEST = columns.LONG_AGO / 1000, columns.NEVER / 1000


def stored_width(number: int) -> int:
    """Bytes that SQLite gives an integer other than 0 and 1 (file format, 2.1)."""
    return min(size for size in (1, 2, 3, 4, 6, 8) if number.bit_length() < 8 * size)


@given(st.floats(EARLIEST, LATEST))
def test_every_time_takes_six_bytes(moment: float) -> None:
    assert stored_width(columns.to_ms(moment)) == 6


@given(st.integers(0, (1 << 32) - 1))
def test_every_counter_takes_six_bytes_and_comes_back(number: int) -> None:
    stored = columns.widen(number)
    assert stored_width(stored) == 6
    assert columns.narrow(stored) == number


def test_absent_times_take_six_bytes_too() -> None:
    assert stored_width(columns.NEVER) == stored_width(columns.LONG_AGO) == 6


@pytest.mark.parametrize("moment", [0.0, EARLIEST - 1, LATEST + 1, -5.0])
def test_a_time_that_would_take_another_width_is_refused(moment: float) -> None:
    with pytest.raises(StoreError, match="time"):
        columns.to_ms(moment)


@pytest.mark.parametrize("number", [-1, 1 << 32])
def test_a_counter_that_would_take_another_width_is_refused(number: int) -> None:
    with pytest.raises(StoreError, match="counter"):
        columns.widen(number)


def test_infinity_and_none_are_never() -> None:
    assert columns.to_ms(math.inf) == columns.to_ms_or_never(None) == columns.NEVER
    assert columns.to_seconds(columns.NEVER) == math.inf
    assert columns.to_seconds_or_none(columns.NEVER) is None


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8))
def test_padded_text_has_one_length_and_comes_back(text: str) -> None:
    padded = columns.pad(text, 32)
    assert len(padded) == 32
    assert columns.unpad(padded) == text


@pytest.mark.parametrize("text", ["x" * 33, "ü" * 17, "nul\0"])
def test_text_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(StoreError):
        columns.pad(text, 32)


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "\u0660" * 32, " " * 32]
)
def test_only_32_lower_case_hex_digits_are_a_name(text: str) -> None:
    assert columns.try_hex(text) is None
    with pytest.raises(StoreError):
        columns.pack_hex(text)


@given(st.binary(min_size=16, max_size=16))
def test_a_name_comes_back(raw: bytes) -> None:
    assert columns.pack_hex(columns.unpack_hex(raw)) == raw


def test_an_absent_hash_has_the_length_of_a_hash() -> None:
    stored = columns.fixed_hash(None)
    assert len(stored) == 32
    assert columns.hash_or_none(stored) is None
    assert columns.hash_or_none(b"h" * 32) == b"h" * 32


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(StoreError, match="32 bytes"):
        columns.fixed_hash(b"short")


def test_words_take_one_byte_and_come_back() -> None:
    for state in InstanceState:
        code = columns.STATES.code(state)
        assert 2 <= code <= 127
        assert columns.STATES.member(code) is state
    assert {columns.MODES.member(columns.MODES.code(mode)) for mode in Mode} == set(Mode)


def test_the_code_of_registered_is_the_one_that_the_schema_names() -> None:
    assert columns.STATES.code(InstanceState.REGISTERED) == 4
