from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from sipis.push.text import clusters, cut, encoded_size

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAGS = "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"


def test_what_fits_is_left_alone() -> None:
    assert cut("Alice", 5) == "Alice"


def test_a_cut_ends_in_an_ellipsis_within_the_limit() -> None:
    assert cut("Alice and Bob", 8) == "Alice…"


def test_a_limit_below_the_ellipsis_leaves_nothing() -> None:
    assert cut("Alice", 2) == ""


def test_accents_skin_tones_families_and_flags_are_one_piece() -> None:
    assert list(clusters("e\u0301a")) == ["e\u0301", "a"]
    assert list(clusters("\U0001f44d\U0001f3fdx")) == ["\U0001f44d\U0001f3fd", "x"]
    assert list(clusters(f"{FAMILY}!")) == [FAMILY, "!"]
    assert list(clusters(FLAGS)) == [FLAGS[:2], FLAGS[2:]]


def test_a_family_is_not_torn_apart() -> None:
    assert cut(f"a{FAMILY}bcd", 12) == "a…"


@given(st.text(max_size=200), st.integers(3, 60))
def test_a_cut_never_exceeds_the_limit_and_never_splits_a_character(text: str, most: int) -> None:
    short = cut(text, most)
    assert encoded_size(short) <= most
    beginnings = accumulate(clusters(text), initial="")
    assert short == text or short in {beginning.rstrip() + "…" for beginning in beginnings}


@given(st.text(max_size=60))
def test_the_pieces_make_the_whole(text: str) -> None:
    assert "".join(clusters(text)) == text
