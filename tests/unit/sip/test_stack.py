from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import LocalProtocolError
from sipis.sip.events import (
    CancelReceived,
    FlowPong,
    Malformed,
    Overloaded,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.limits import MAX_DATAGRAM
from sipis.sip.message import Request, Response, parse_message, response_to
from sipis.sip.stack import Stack

Make = Callable[..., Request]


@pytest.fixture
def stack(token: Callable[[], str]) -> Stack:
    return Stack(token=token)


def sent(stack: Stack) -> list[Request | Response]:
    return [parse_message(data) for data, _ in stack.datagrams_to_send(0.0)]


def answers(stack: Stack) -> list[Response]:
    return [message for message in sent(stack) if isinstance(message, Response)]


def told(stack: Stack) -> list[object]:
    events = []
    while (event := stack.next_event()) is not None:
        events.append(event)
    return list(events)


def receive(stack: Stack, request: Request, flow: Flow, now: float = 0.0) -> list[object]:
    stack.receive(request.to_bytes(), flow, now)
    return told(stack)


def transaction_of(events: list[object]) -> str:
    (event,) = events
    assert isinstance(event, RequestReceived)
    assert event.transaction is not None
    return event.transaction


def test_an_idle_stack_wants_nothing(stack: Stack) -> None:
    assert stack.next_event() is None
    assert stack.next_deadline() is None
    assert stack.datagrams_to_send(0.0) == []
    stack.on_timer(1e9)


def test_a_request_is_told_with_its_flow_and_a_transaction(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    (event,) = receive(stack, make_request("OPTIONS"), udp)
    assert isinstance(event, RequestReceived)
    assert (event.request.method, event.flow) == ("OPTIONS", udp)
    assert event.transaction


def test_a_response_goes_back_over_the_flow_of_its_request(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    request = make_request("OPTIONS")
    id_ = transaction_of(receive(stack, request, udp))
    stack.respond(id_, response_to(request, 200, to_tag="ours"), 0.1)
    ((data, flow),) = stack.datagrams_to_send(0.1)
    assert flow is udp
    assert data.startswith(b"SIP/2.0 200 OK\r\n")


def test_what_is_sent_is_handed_out_once(stack: Stack, make_request: Make, udp: Flow) -> None:
    stack.send_request(make_request("OPTIONS"), udp, 0.0, via_host="192.0.2.9", via_port=5060)
    assert len(stack.datagrams_to_send(0.0)) == 1
    assert stack.datagrams_to_send(0.0) == []


def test_a_request_of_ours_gets_its_answer(stack: Stack, make_request: Make, udp: Flow) -> None:
    request = make_request("OPTIONS")
    request.headers.remove("Via")
    id_ = stack.send_request(request, udp, 0.0, via_host="192.0.2.9", via_port=5062)
    ((data, _),) = stack.datagrams_to_send(0.0)
    asked = parse_message(data)
    assert isinstance(asked, Request)
    assert (asked.via.host, asked.via.port, asked.via.transport) == ("192.0.2.9", 5062, "UDP")
    assert "rport" in asked.via.params
    stack.receive(response_to(asked, 200, to_tag="x").to_bytes(), udp, 0.1)
    (event,) = told(stack)
    assert isinstance(event, ResponseReceived)
    assert (event.response.status, event.transaction, event.flow) == (200, id_, udp)


def test_the_port_need_not_be_asked_for(stack: Stack, make_request: Make, tcp: Flow) -> None:
    stack.send_request(
        make_request("OPTIONS"), tcp, 0.0, via_host="::1", via_port=None, rport=False
    )
    ((data, _),) = stack.datagrams_to_send(0.0)
    assert b"Via: SIP/2.0/TCP [::1];branch=z9hG4bK" in data
    assert b"rport" not in data


def test_an_ack_cannot_be_sent_as_a_request(stack: Stack, make_request: Make, udp: Flow) -> None:
    with pytest.raises(LocalProtocolError):
        stack.send_request(make_request("ACK"), udp, 0.0, via_host="a", via_port=None)


def test_a_source_behind_nat_is_noted_in_request_and_response(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    request = make_request("OPTIONS", via="SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKone")
    (event,) = receive(stack, request, udp)
    assert isinstance(event, RequestReceived)
    assert (event.request.via.received, event.request.via.rport) == ("192.0.2.1", 5060)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"uri": "tel:+15551234"}, 416),
        ({"extra": [("From", "<sip:two@example.com>;tag=x")]}, 400),
    ],
)
def test_a_faulty_request_is_answered_without_a_transaction(
    stack: Stack, make_request: Make, udp: Flow, change: dict[str, object], status: int
) -> None:
    (event,) = receive(stack, make_request("OPTIONS", **change), udp)
    assert [answer.status for answer in answers(stack)] == [status]
    assert isinstance(event, Malformed)
    assert event.answered == status
    assert stack.transactions == 0


def test_a_request_without_the_headers_of_a_key_is_still_answered(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    request = make_request("OPTIONS", branch=None)
    request.headers.remove("From")
    receive(stack, request, udp)
    (answer,) = answers(stack)
    assert (answer.status, "From" in answer.headers) == (400, False)
    assert answer.to.tag


def test_a_datagram_that_falls_short_is_answered_400(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    data = make_request().to_bytes().replace(b"Content-Length: 0", b"Content-Length: 99")
    stack.receive(data, udp, 0.0)
    assert [answer.status for answer in answers(stack)] == [400]


def test_another_version_is_answered_505(stack: Stack, make_request: Make, udp: Flow) -> None:
    data = make_request().to_bytes().replace(b"sip:bob@192.0.2.9 SIP/2.0", b"sip:b@x SIP/7.0", 1)
    stack.receive(data, udp, 0.0)
    assert [answer.status for answer in answers(stack)] == [505]


def test_a_datagram_too_large_is_answered_513(
    stack: Stack, make_request: Make, udp: Flow, tcp: Flow
) -> None:
    request = make_request("OPTIONS")
    request.body = b"x" * MAX_DATAGRAM
    stack.receive(request.to_bytes(), udp, 0.0)
    assert [answer.status for answer in answers(stack)] == [513]
    told(stack)
    transaction_of(receive(stack, request, tcp))


def test_a_cseq_of_another_method_is_answered_400(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    request = make_request("OPTIONS")
    request.headers.set("CSeq", "1 INVITE")
    receive(stack, request, udp)
    assert [answer.status for answer in answers(stack)] == [400]


def test_a_merged_request_is_answered_482_and_a_fork_to_another_instance_is_told(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    receive(stack, make_request(), udp)
    (event,) = receive(stack, make_request(branch="z9hG4bKtwo"), udp)
    assert isinstance(event, Malformed)
    assert [answer.status for answer in answers(stack)] == [482]
    fork = make_request(branch="z9hG4bKthree", uri="sip:second@192.0.2.9")
    transaction_of(receive(stack, fork, udp))


def test_the_hook_decides_what_an_instance_is(
    token: Callable[[], str], make_request: Make, udp: Flow
) -> None:
    stack = Stack(token=token, instance_of=lambda _: "one and all")
    receive(stack, make_request(), udp)
    receive(stack, make_request(branch="z9hG4bKtwo", uri="sip:second@192.0.2.9"), udp)
    assert [answer.status for answer in answers(stack)] == [482]


def test_repeats_of_a_faulty_request_get_the_same_tag_and_its_ack_is_not_told(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    for _ in range(2):
        receive(stack, make_request(uri="tel:1"), udp)
    first, second = answers(stack)
    assert first.to.tag == second.to.tag
    ack = make_request("ACK", uri="tel:1", to_tag=first.to.tag)
    assert receive(stack, ack, udp) == []
    assert sent(stack) == []


def test_an_ack_of_a_dialog_that_only_the_owner_knows_is_told(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    (event,) = receive(stack, make_request("ACK", to_tag="before the restart"), udp)
    assert isinstance(event, RequestReceived)
    assert event.transaction is None
    assert receive(stack, make_request("ACK"), udp) == []


def test_no_ack_is_ever_answered(stack: Stack, make_request: Make, udp: Flow) -> None:
    broken = make_request("ACK", to_tag="x")
    broken.headers.remove("Call-ID")
    for ack in (broken, make_request("ACK", uri="tel:1")):
        receive(stack, ack, udp)
    assert sent(stack) == []


def test_over_a_quiet_flow_nothing_is_answered_unasked(
    token: Callable[[], str], make_request: Make, udp: Flow
) -> None:
    stack = Stack(token=token, quiet=lambda _: True)
    (event,) = receive(stack, make_request("OPTIONS", uri="tel:1"), udp)
    assert event == Malformed(udp, "Request-URI of an unsupported scheme", 0)
    receive(stack, make_request("CANCEL"), udp)
    receive(stack, make_request(), udp)
    stack.on_timer(1.0)
    stack.receive(b"INVITE\r\n\r\n", udp, 0.0)
    assert sent(stack) == []


def test_over_a_quiet_flow_a_cancel_of_an_unanswered_invite_is_told_and_not_answered(
    token: Callable[[], str], make_request: Make, udp: Flow
) -> None:
    stack = Stack(token=token, quiet=lambda _: True)
    receive(stack, make_request(), udp)
    (event,) = receive(stack, make_request("CANCEL"), udp)
    assert isinstance(event, CancelReceived)
    assert sent(stack) == []


def test_over_a_quiet_flow_a_cancel_is_answered_once_its_invite_was(
    token: Callable[[], str], make_request: Make, udp: Flow
) -> None:
    stack = Stack(token=token, quiet=lambda _: True)
    request = make_request()
    id_ = transaction_of(receive(stack, request, udp))
    stack.respond(id_, response_to(request, 180, to_tag="ours"), 0.1)
    receive(stack, make_request("CANCEL"), udp)
    assert [answer.status for answer in answers(stack)] == [180, 200]


def test_a_cancel_is_answered_200_with_the_tag_of_its_invite(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    request = make_request()
    id_ = transaction_of(receive(stack, request, udp))
    stack.respond(id_, response_to(request, 180, to_tag="ours"), 0.1)
    answers(stack)
    (event,) = receive(stack, make_request("CANCEL"), udp)
    assert isinstance(event, CancelReceived)
    assert event.transaction == id_
    assert [(answer.status, answer.to.tag) for answer in answers(stack)] == [(200, "ours")]
    assert receive(stack, make_request("CANCEL"), udp) == []
    assert [answer.status for answer in answers(stack)] == [200]


def test_a_cancel_before_any_answer_of_ours_is_answered_200_with_some_tag(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    receive(stack, make_request(), udp)
    receive(stack, make_request("CANCEL"), udp)
    (answer,) = answers(stack)
    assert (answer.status, str(answer.cseq)) == (200, "1 CANCEL")
    assert answer.to.tag


def test_a_cancel_of_nothing_is_answered_481(stack: Stack, make_request: Make, udp: Flow) -> None:
    assert receive(stack, make_request("CANCEL"), udp) == []
    assert [answer.status for answer in answers(stack)] == [481]


def test_a_cancel_from_a_stranger_is_answered_481_and_cancels_nothing(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    receive(stack, make_request(), udp)
    stranger = Flow(9, Door.PROVIDER, Transport.UDP, udp.local, ("203.0.113.66", 5060))
    assert receive(stack, make_request("CANCEL"), stranger) == []
    assert [answer.status for answer in answers(stack)] == [481]


def test_above_the_cap_new_requests_are_dropped_and_known_ones_served(
    token: Callable[[], str], make_request: Make, udp: Flow
) -> None:
    stack = Stack(token=token, most_transactions=1)
    request = make_request("OPTIONS")
    id_ = transaction_of(receive(stack, request, udp))
    other = make_request("OPTIONS", branch="z9hG4bKtwo", call_id="two")
    assert receive(stack, other, udp) == [Overloaded(udp)]
    stack.respond(id_, response_to(request, 200, to_tag="x"), 0.1)
    assert receive(stack, request, udp) == []
    assert [answer.status for answer in answers(stack)] == [200, 200]


def test_what_was_dropped_is_new_when_it_comes_again(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    stack.drop(transaction_of(receive(stack, make_request(), udp)))
    assert stack.transactions == 0
    transaction_of(receive(stack, make_request(), udp))


def test_a_response_with_two_vias_was_meant_for_a_proxy(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    request = make_request("OPTIONS")
    stack.send_request(request, udp, 0.0, via_host="192.0.2.9", via_port=5060)
    (asked,) = sent(stack)
    assert isinstance(asked, Request)
    stack.receive(response_to(asked, 200, to_tag="x").to_bytes(), udp, 0.1)
    (event,) = told(stack)
    assert isinstance(event, Malformed)


@pytest.mark.parametrize("blank", [b"", b"\r\n\r\n\r\n", b"\0", b"\0\0\0\0", b" \t\r\n"])
def test_keepalives_without_meaning_are_ignored(stack: Stack, udp: Flow, blank: bytes) -> None:
    stack.receive(blank, udp, 0.0)
    assert (told(stack), sent(stack)) == ([], [])


def test_a_pong_is_told_and_a_ping_is_answered_on_streams_only(
    stack: Stack, udp: Flow, tcp: Flow
) -> None:
    stack.receive(b"\r\n", tcp, 0.0)
    assert told(stack) == [FlowPong(tcp)]
    stack.receive(b"\r\n\r\n", udp, 0.0)
    stack.receive(b"\r\n\r\n", tcp, 0.0)
    assert stack.datagrams_to_send(0.0) == [(b"\r\n", tcp)]


def test_a_via_with_an_impossible_port_brings_nothing_down(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    data = make_request("OPTIONS", via="SIP/2.0/UDP 192.0.2.1:70000;branch=z9hG4bKone").to_bytes()
    stack.receive(data, udp, 0.0)
    (event,) = told(stack)
    assert isinstance(event, Malformed)
    transaction_of(receive(stack, make_request("OPTIONS"), udp))


def test_a_closed_flow_fails_what_was_sent_over_it(
    stack: Stack, make_request: Make, tcp: Flow
) -> None:
    id_ = stack.send_request(make_request("OPTIONS"), tcp, 0.0, via_host="a", via_port=None)
    stack.flow_closed(tcp, 0.1)
    assert told(stack) == [RequestFailed(id_, "flow lost")]
    assert stack.next_deadline() is None


def test_the_ack_to_a_refusal_without_a_transaction_is_absorbed(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    hopless = make_request("INVITE")
    hopless.headers.set("Max-Forwards", "0")
    receive(stack, hopless, udp)
    (refusal,) = answers(stack)
    assert refusal.status == 483
    assert receive(stack, make_request("ACK", to_tag=refusal.to.tag), udp) == []


def test_an_abandoned_request_is_not_repeated(stack: Stack, make_request: Make, udp: Flow) -> None:
    id_ = stack.send_request(make_request("OPTIONS"), udp, 0.0, via_host="a", via_port=None)
    sent(stack)
    stack.abandon(id_)
    assert stack.next_deadline() is None
    assert stack.transactions == 0


def test_ten_thousand_transactions_wait_on_a_few_ticks(
    stack: Stack, make_request: Make, udp: Flow
) -> None:
    for _ in range(10_000):
        stack.send_request(make_request("OPTIONS"), udp, 0.0, via_host="a", via_port=None)
    assert stack.transactions == 10_000
    assert len(stack._wheel._slots) == 2
    stack.on_timer(0.5)
    assert len(stack.datagrams_to_send(0.5)) == 20_000


@given(data=st.binary(max_size=200))
def test_no_bytes_can_raise_an_error(data: bytes) -> None:
    stack = Stack(token=lambda: "fixed")
    flow = Flow(1, Door.APP, Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))
    stack.receive(data, flow, 0.0)
    assert len(told(stack)) <= 1


@given(data=st.data())
def test_no_damage_to_a_request_can_raise_an_error(data: st.DataObject) -> None:
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    stack = Stack(token=lambda: "fixed")
    flow = Flow(1, Door.APP, Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))
    stack.receive(bytes(whole), flow, 0.0)
    stack.on_timer(100.0)
    assert len(told(stack)) <= 2


WHOLE = (
    b"INVITE sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
    b"Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@10.0.0.1>\r\nContent-Length: 0\r\n\r\n"
)


def test_a_request_is_served_until_it_is_dropped(
    stack: Stack, udp: Flow, make_request: Callable[..., Request]
) -> None:
    stack.receive(make_request().to_bytes(), udp, 0.0)
    event = stack.next_event()
    assert isinstance(event, RequestReceived)
    assert event.transaction is not None
    assert stack.serves(event.transaction)
    stack.drop(event.transaction)
    assert not stack.serves(event.transaction)
