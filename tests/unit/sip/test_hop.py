from collections.abc import Callable
from dataclasses import replace

import pytest

from sipis.sip.flow import Flow, Transport
from sipis.sip.hop import ack_to_refusal, cancel_of, note_source, via_value, with_via
from sipis.sip.message import Request, Response, parse_message, response_to

Make = Callable[..., Request]


def test_our_via_names_transport_host_port_and_branch() -> None:
    value = via_value(Transport.TLS, "192.0.2.9", 5061, "z9hG4bKx", rport=False)
    assert value == "SIP/2.0/TLS 192.0.2.9:5061;branch=z9hG4bKx"


def test_our_via_brackets_an_ipv6_host_and_asks_for_the_port() -> None:
    value = via_value(Transport.UDP, "2001:db8::9", None, "z9hG4bKx", rport=True)
    assert value == "SIP/2.0/UDP [2001:db8::9];branch=z9hG4bKx;rport"


def test_a_via_goes_on_top_and_the_request_stays_as_it_is(make_request: Make) -> None:
    request = make_request()
    before = request.to_bytes()
    sent = parse_message(with_via(request, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKtop"))
    assert [via.branch for via in sent.vias] == ["z9hG4bKtop", "z9hG4bKone"]
    assert request.to_bytes() == before


def noted(request: Request, flow: Flow) -> str:
    note_source(request, flow)
    return request.headers.get("Via") or ""


def test_a_via_that_tells_the_truth_is_left_byte_for_byte(make_request: Make, udp: Flow) -> None:
    via = "SIP / 2.0 / UDP  192.0.2.1:5060 ;branch=z9hG4bKone"
    assert noted(make_request(via=via), udp) == via


def test_another_host_is_noted_as_received(make_request: Make, udp: Flow) -> None:
    via = noted(make_request(sent_by="10.0.0.1:5060"), udp)
    assert via == "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKone;received=192.0.2.1"


def test_who_asks_for_the_port_gets_host_and_port(make_request: Make, udp: Flow) -> None:
    nat = replace(udp, remote=("198.51.100.7", 40123))
    via = noted(make_request(via="SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKone"), nat)
    assert via == "SIP/2.0/UDP 10.0.0.1;rport=40123;branch=z9hG4bKone;received=198.51.100.7"


def test_a_claimed_source_is_overwritten(make_request: Make, udp: Flow) -> None:
    claim = "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKone;received=203.0.113.1;rport=1"
    via = noted(make_request(via=claim), udp)
    assert "received=192.0.2.1" in via
    assert "rport=5060" in via
    assert "203.0.113.1" not in via


def test_only_the_topmost_via_of_a_list_is_touched(make_request: Make, udp: Flow) -> None:
    via = noted(make_request(via="SIP/2.0/UDP a.example;branch=x, SIP/2.0/UDP b.example"), udp)
    assert via.startswith("SIP/2.0/UDP a.example;branch=x;received=192.0.2.1")
    assert via.endswith("SIP/2.0/UDP b.example")


def test_an_ipv6_zone_is_not_noted(make_request: Make, udp: Flow) -> None:
    via = noted(make_request(), replace(udp, remote=("fe80::1%eth0", 5060)))
    assert via.endswith(";received=fe80::1")


@pytest.fixture
def invite(make_request: Make) -> Request:
    routes = [("Route", "<sip:p1.example;lr>"), ("Route", "<sip:p2.example;lr>")]
    request = make_request(cseq=7, extra=[*routes, ("Require", "x"), ("Subject", "private")])
    request.headers.remove("Via")
    return request


def refused(invite: Request) -> Response:
    return Response.build(486, headers=[("To", "<sip:bob@example.com>;tag=theirs")])


def test_the_ack_to_a_refusal_is_built_of_invite_and_response(invite: Request) -> None:
    ack = ack_to_refusal(invite, refused(invite))
    assert (ack.method, ack.uri_text) == ("ACK", invite.uri_text)
    assert str(ack.cseq) == "7 ACK"
    assert ack.to.tag == "theirs"
    assert ack.from_ == invite.from_
    assert ack.call_id == invite.call_id
    assert ack.routes == invite.routes
    assert ack.max_forwards == 70
    assert "Subject" not in ack.headers


def test_a_refusal_without_to_is_acknowledged_with_the_to_of_the_invite(invite: Request) -> None:
    assert ack_to_refusal(invite, Response.build(486)).to == invite.to


def test_the_cancel_repeats_the_identity_of_its_invite_and_requires_nothing(
    invite: Request,
) -> None:
    cancel = cancel_of(invite, [("Reason", "SIP;cause=200")])
    assert (cancel.method, cancel.uri_text) == ("CANCEL", invite.uri_text)
    assert str(cancel.cseq) == "7 CANCEL"
    assert (cancel.to, cancel.from_, cancel.call_id) == (invite.to, invite.from_, invite.call_id)
    assert cancel.routes == invite.routes
    assert cancel.headers.get("Reason") == "SIP;cause=200"
    assert "Require" not in cancel.headers


def test_a_response_copies_the_noted_source(make_request: Make, udp: Flow) -> None:
    request = make_request(via="SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKone")
    note_source(request, udp)
    assert response_to(request, 200, to_tag="x").via.received == "192.0.2.1"
