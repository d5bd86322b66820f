import pytest

from sipis.sip.message import REASONS, Request, parse_message, response_to

LINES = (
    b"v: SIP/2.0/UDP a;branch=z9hG4bK1 ,\r\n SIP/2.0/UDP b\r\nFROM : <sip:a@x>;tag=1\r\n"
    b"Record-Route: <sip:p;lr>\r\nTo: <sip:b@x>\r\ni: abc\r\nCSeq:  7 INVITE\r\n"
    b"Timestamp: 54\r\nSubject: x\r\nl: 0\r\n\r\n"
)


def received(method: bytes = b"INVITE") -> Request:
    message = parse_message(method + b" sip:b@x SIP/2.0\r\n" + LINES.replace(b"INVITE", method))
    assert isinstance(message, Request)
    return message


def names_of(request: Request, status: int) -> list[str]:
    return [name for name, _ in response_to(request, status).headers]


def test_copied_headers_leave_as_they_came() -> None:
    written = response_to(received(), 486, to_tag="t").to_bytes()
    assert written == (
        b"SIP/2.0 486 Busy Here\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1 ,\r\n SIP/2.0/UDP b\r\n"
        b"FROM : <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=t\r\ni: abc\r\nCSeq:  7 INVITE\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "status", "copied"),
    [
        (b"INVITE", 180, True),
        (b"INVITE", 200, True),
        (b"SUBSCRIBE", 200, True),
        (b"INVITE", 100, False),
        (b"INVITE", 302, False),
        (b"MESSAGE", 200, False),
    ],
)
def test_record_route_is_copied_where_a_dialog_may_form(
    method: bytes, status: int, copied: bool
) -> None:
    assert ("Record-Route" in names_of(received(method), status)) is copied


def test_a_100_has_no_tag_and_carries_the_timestamp() -> None:
    response = response_to(received(), 100, to_tag="t")
    assert response.to.tag is None
    assert response.headers.get("Timestamp") == "54"


def test_a_tag_that_is_there_stays() -> None:
    request = received()
    request.headers.set("To", "<sip:b@x>;tag=theirs")
    assert response_to(request, 200, to_tag="ours").to.tag == "theirs"


def test_a_broken_to_is_given_back_as_it_is() -> None:
    request = received()
    request.headers.set("To", '"open <sip:b@x>')
    assert response_to(request, 400, to_tag="t").headers.get("To") == '"open <sip:b@x>'


def test_a_phrase_of_our_own_wins_over_the_usual_one() -> None:
    assert response_to(received(), 403, "No").reason == "No"
    assert response_to(received(), 403).reason == REASONS[403]
    assert response_to(received(), 499).reason == REASONS[400]
