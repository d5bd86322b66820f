import pytest

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.headers import CSeq, RetryAfter
from sipis.sip.message import Request, Response
from sipis.sip.uri import SipUri

PAIRS = [
    ("Via", "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b"),
    ("v", "SIP/2.0/TLS c"),
    ("From", '"A" <sip:a@x>;tag=1'),
    ("To", "<sip:b@x>"),
    ("Call-ID", "abc@x"),
    ("CSeq", "7 INVITE"),
]


def invite(*more: tuple[str, str]) -> Request:
    return Request.build("INVITE", SipUri.parse("sip:b@x"), [*PAIRS, *more])


def test_the_core_headers_are_typed() -> None:
    request = invite(("Max-Forwards", "0070"))
    assert request.via.branch == "z9hG4bK1"
    assert [via.transport for via in request.vias] == ["UDP", "TCP", "TLS"]
    assert (request.from_.display, request.from_.tag, request.to.tag) == ("A", "1", None)
    assert (request.call_id, request.cseq) == ("abc@x", CSeq(7, "INVITE"))
    assert request.max_forwards == 70
    assert request.uri == SipUri.parse("sip:b@x")


def test_addresses_come_from_all_lines() -> None:
    request = invite(
        ("Route", "<sip:p1;lr>,<sip:p2;lr>"),
        ("Record-Route", "<sip:r1;lr>"),
        ("m", "<sip:a@1>"),
        ("Contact", "<sip:a@2>"),
    )
    assert [str(route.uri) for route in request.routes] == ["sip:p1;lr", "sip:p2;lr"]
    assert [str(route.uri) for route in request.record_routes] == ["sip:r1;lr"]
    assert [str(contact.uri) for contact in request.contacts] == ["sip:a@1", "sip:a@2"]
    assert not request.is_star_contact


def test_a_star_contact_is_no_address() -> None:
    request = invite(("Contact", "*"))
    assert request.is_star_contact
    assert request.contacts == ()


def test_option_tags_are_lower_case_sets() -> None:
    request = invite(("Supported", "Path, outbound"), ("k", "GRUU"), ("Require", "100rel"))
    assert request.supported == {"path", "outbound", "gruu"}
    assert request.require == {"100rel"}
    assert invite().supported == set()


def test_absent_optional_headers_are_none() -> None:
    request = invite()
    assert request.max_forwards is None
    assert request.expires is None
    assert request.content_type is None
    assert request.retry_after is None
    assert request.contacts == ()


@pytest.mark.parametrize(
    ("text", "seconds"), [("3600", 3600), ("9" * 30, 2**32 - 1), ("soon", None), ("-1", None)]
)
def test_expires_is_read_leniently(text: str, seconds: int | None) -> None:
    assert invite(("Expires", text)).expires == seconds
    assert invite(("Min-Expires", text)).min_expires == seconds


def test_a_response_tells_when_to_come_back() -> None:
    response = Response.build(503, headers=[("Retry-After", "30 (tea)")])
    assert response.retry_after == RetryAfter(30)


@pytest.mark.parametrize("text", ["256", "-1", "x", ""])
def test_a_broken_max_forwards_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        _ = invite(("Max-Forwards", text)).max_forwards


@pytest.mark.parametrize("name", ["via", "from_", "to", "call_id", "cseq"])
def test_a_missing_mandatory_header_shows_when_asked_for(name: str) -> None:
    response = Response.build(200)
    with pytest.raises(RemoteProtocolError):
        getattr(response, name)


def test_a_call_id_with_spaces_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        _ = Response.build(200, headers=[("Call-ID", "a b")]).call_id


def test_a_built_request_is_written_with_its_length() -> None:
    request = Request.build("MESSAGE", "sip:b@x", [("l", "99"), ("Subject", "ü")], b"hi")
    assert request.to_bytes() == (
        "MESSAGE sip:b@x SIP/2.0\r\nContent-Length: 2\r\nSubject: ü\r\n\r\nhi".encode()
    )
    assert request.headers.get("l") == "99"


def test_a_response_without_headers_is_written_with_its_length() -> None:
    assert Response.build(299).to_bytes() == b"SIP/2.0 299 OK\r\nContent-Length: 0\r\n\r\n"
    assert Response.build(999 - 300, "Odd").to_bytes().startswith(b"SIP/2.0 699 Odd\r\n")


def test_text_that_is_no_utf8_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError):
        Request.build("MESSAGE", "sip:b@x", [("Subject", "\ud800")]).to_bytes()


@pytest.mark.parametrize(
    ("method", "uri"), [("IN VITE", "sip:a"), ("INVITE", "sip:a b"), ("", "x")]
)
def test_a_request_line_that_would_not_hold_is_our_fault(method: str, uri: str) -> None:
    with pytest.raises(LocalProtocolError):
        Request.build(method, uri)


@pytest.mark.parametrize(("status", "reason"), [(99, "x"), (700, "x"), (200, "a\r\nb")])
def test_a_status_line_that_would_not_hold_is_our_fault(status: int, reason: str) -> None:
    with pytest.raises(LocalProtocolError):
        Response.build(status, reason)


def test_a_request_written_in_lines_is_the_one_built_of_pairs() -> None:
    lines = ["From: <sip:a@b>;tag=1", "Content-Length: 0"]
    pairs = [("From", "<sip:a@b>;tag=1"), ("Content-Length", "0")]
    written = Request.written("REGISTER", "sip:b", lines)
    assert written.to_bytes() == Request.build("REGISTER", "sip:b", pairs).to_bytes()
    assert written.from_tag == "1"


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\0"])
def test_no_line_of_a_written_request_holds_another(bad: str) -> None:
    with pytest.raises(LocalProtocolError):
        Request.written("REGISTER", "sip:b", [f"From: <sip:a{bad}@b>"])


@pytest.mark.parametrize(
    ("hop", "source"),
    [
        ("SIP/2.0/UDP a;rport=5070;received=192.0.2.9", ("192.0.2.9", 5070)),
        ("SIP/2.0/UDP 192.0.2.1:5060;rport=5070", ("192.0.2.1", 5070)),
        ("SIP/2.0/UDP a;rport", None),
    ],
)
def test_the_source_is_where_the_peer_of_the_top_hop_saw_it(
    hop: str, source: tuple[str, int] | None
) -> None:
    response = Response.build(200, headers=[("Via", hop), ("Via", "SIP/2.0/UDP b;rport=1")])
    assert response.source == source
