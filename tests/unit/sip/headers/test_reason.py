import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import Reason


def test_several_reasons_are_read_from_one_line() -> None:
    text = 'SIP ;cause=200 ;text="Call completed, elsewhere", Q.850;cause=16;x=y'
    assert Reason.parse_many(text) == [
        Reason("SIP", 200, "Call completed, elsewhere"),
        Reason("Q.850", 16),
    ]


def test_a_reason_without_a_sound_cause_has_none() -> None:
    assert Reason.parse("SIP;cause=abc").cause is None


@pytest.mark.parametrize("text", ["", ";cause=1", "a b;cause=1", "SIP;;"])
def test_a_broken_reason_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Reason.parse(text)


@given(
    st.none() | st.integers(0, 999),
    st.none() | st.text(st.characters(exclude_characters="\r\n"), max_size=20),
)
def test_reading_undoes_writing(cause: int | None, text: str | None) -> None:
    reason = Reason("SIP", cause, text)
    assert Reason.parse(str(reason)) == reason
