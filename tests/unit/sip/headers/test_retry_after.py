import pytest

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import RetryAfter


@pytest.mark.parametrize(
    ("text", "seconds", "duration"),
    [
        ("18000;duration=3600", 18000, "3600"),
        ("120 (I'm in a meeting)", 120, None),
        ("5 (a;b) ; duration=60", 5, "60"),
        ("0", 0, None),
        ("5 (one (two); three);duration=60", 5, "60"),
    ],
)
def test_seconds_and_parameters_are_read_around_a_comment(
    text: str, seconds: int, duration: str | None
) -> None:
    value = RetryAfter.parse(text)
    assert (value.seconds, value.params.get("duration")) == (seconds, duration)


def test_it_is_written_without_the_comment() -> None:
    assert str(RetryAfter.parse("120 (busy);duration=60")) == "120;duration=60"


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "99999999999", "(5)", "5 (open"])
def test_anything_but_seconds_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        RetryAfter.parse(text)


def test_a_bracket_after_the_parameters_began_is_no_comment() -> None:
    value = RetryAfter.parse("0;a(=1;duration=2")
    assert (str(value), value.params.get("duration")) == ("0;a(=1;duration=2", "2")
