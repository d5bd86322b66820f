"""Who a push may show."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.relay.caller import LONGEST_NAME, caller_of, clean_name
from sipis.sip.message import Request


def invite(from_: str, *headers: tuple[str, str]) -> Request:
    return Request.build("INVITE", "sip:a@b", [("From", from_), *headers])


@pytest.mark.parametrize(
    ("from_", "headers", "shown"),
    [
        ('"Bob" <sip:bob@x>;tag=1', (), "Bob"),
        ("<sip:+4930%20123@x>;tag=1", (), "+4930 123"),
        ("<tel:+4930123;phone-context=x>", (), "+4930123"),
        ('"Bob" <sip:bob@x>', (("P-Asserted-Identity", '"Robert" <sip:r@x>'),), "Robert"),
        ('"Bob" <sip:bob@x>', (("P-Asserted-Identity", "<<broken"),), "Bob"),
        ('"Bob" <sip:bob@x>', (("Privacy", "id;critical"),), None),
        ('"Bob" <sip:bob@x>', (("Privacy", "none"),), "Bob"),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', (), None),
        ("<sip:x>", (), None),
    ],
)
def test_the_caller_is_shown_as_the_caller_wishes(
    from_: str, headers: tuple[tuple[str, str], ...], shown: str | None
) -> None:
    assert caller_of(invite(from_, *headers)) == shown


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("Police\u202e112", "Police112"),
        ("a\u200bb\ufeffc", "abc"),
        ("line\nbreak\ttab", "line break tab"),
        ("  spaced   out  ", "spaced out"),
        ("\ud800half", "half"),
    ],
)
def test_what_cannot_be_seen_is_not_shown(hostile: str, shown: str) -> None:
    assert clean_name(hostile) == shown


@given(st.text(max_size=3000))
def test_a_name_is_one_short_visible_line(text: str) -> None:
    shown = clean_name(text)
    assert len(shown) <= LONGEST_NAME
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
