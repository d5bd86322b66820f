import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.audit.leaf import FIELDS, Kind, Leaf, minute_of
from sipis.audit.verifier.forms import ALLOWED, ORDER, read_leaf, seconds
from sipis.model import DeletionReason
from sipis.store.leaves import LINE_LENGTH
from tests.support.tlog import NOW, birth, death

VALUES: dict[str, object] = {
    "c": b"\xff" * 32, "reason": DeletionReason.NEVER_REGISTERED, "deadline": NOW + 59.9,
    "lateness": 10**6, "epoch_before": 2**40, "epoch_after": 2**40 + 1, "count": 10**9,
    "notice": "n" * 32,
}  # fmt: skip


def full(kind: Kind) -> Leaf:
    given = {name: VALUES[name] for name in FIELDS[kind]}
    return Leaf(kind, NOW + 59.9, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", Kind)
def test_the_longest_leaf_of_every_kind_fits_its_row_and_is_read_back(kind: Kind) -> None:
    line = full(kind).line(10**12, "f" * 16)
    assert len(line) <= LINE_LENGTH
    leaf = read_leaf(line, 10**12)
    assert list(leaf) == [name for name in ORDER if name in leaf]


def test_server_and_verifier_allow_the_same_fields() -> None:
    assert {kind.value: set(fields) for kind, fields in FIELDS.items()} == ALLOWED


@pytest.mark.parametrize("kind", Kind)
def test_l7_a_kind_refuses_the_fields_of_others(kind: Kind) -> None:
    for name in VALUES.keys() - FIELDS[kind]:
        with pytest.raises(ValueError, match=name):
            Leaf(kind, NOW, **{name: VALUES[name]})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["alice@example.org", "+4930123", "10.0.0.1", "two words", ""])
def test_l7_a_notice_is_a_word_and_can_hold_nobody(text: str) -> None:
    with pytest.raises(ValueError, match="word"):
        Leaf(Kind.CONFIG, NOW, notice=text)


@given(st.floats(min_value=1e9, max_value=4e9))
def test_l7_times_are_whole_minutes(moment: float) -> None:
    assert 0 <= moment - seconds(minute_of(moment)) < 60


def test_a_line_has_one_form() -> None:
    assert json.loads(birth(1).line(5, "ab")) == {
        "seq": 5, "type": "create", "minute": "2027-01-15T08:00Z", "c": f"{1:064x}",
        "deadline": "2027-01-16T08:00Z", "version": "ab",
    }  # fmt: skip


def test_lateness_counts_from_the_deadline_and_never_below_nothing() -> None:
    assert death(1, NOW + 61, deadline=NOW + 0.5).lateness == 60
    assert death(1, NOW, deadline=NOW + 5).lateness == 0
