import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.push.fcm_error import deciding_word, seconds_of
from sipis.push.tables import AT_SIZE, AT_TARGET
from sipis.world.fcm import error_body


def word(body: bytes, *, known_good: bool = False) -> str:
    return deciding_word(body, payload_known_good=known_good)


def test_the_error_code_of_fcm_outranks_the_status() -> None:
    assert word(error_body(404, "NOT_FOUND", fcm="UNREGISTERED")) == "UNREGISTERED"
    assert word(error_body(404, "NOT_FOUND")) == "NOT_FOUND"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error":[]}', b"\xff"])
def test_a_body_of_somebody_else_has_no_word(body: bytes) -> None:
    assert word(body) == ""


@pytest.mark.parametrize("field", ["message.token", "message.fid"])
def test_an_invalid_target_is_told_from_an_invalid_payload(field: str) -> None:
    assert word(error_body(400, "INVALID_ARGUMENT", field=field)) == AT_TARGET
    assert word(error_body(400, "INVALID_ARGUMENT", field="message.data")) == "INVALID_ARGUMENT"


def test_fcms_own_complaint_blames_the_target_only_when_the_payload_is_known_good() -> None:
    body = error_body(400, "INVALID_ARGUMENT", fcm="INVALID_ARGUMENT")
    assert word(body) == "INVALID_ARGUMENT"
    assert word(body, known_good=True) == AT_TARGET
    assert word(error_body(400, "INVALID_ARGUMENT"), known_good=True) == "INVALID_ARGUMENT"


def test_a_complaint_about_size_is_recognised() -> None:
    body = error_body(400, "INVALID_ARGUMENT", message="Android message is too big")
    assert word(body) == AT_SIZE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("99999", 3600.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date_within_reason(
    header: str | None, seconds: float | None
) -> None:
    assert seconds_of(header, now=60.0) == seconds


@given(st.binary(max_size=300))
def test_no_body_is_an_exception(body: bytes) -> None:
    assert isinstance(word(body), str)


@given(st.text(max_size=60))
def test_no_retry_after_is_an_exception(header: str) -> None:
    seconds = seconds_of(header, now=0.0)
    assert seconds is None or 1 <= seconds <= 3600
