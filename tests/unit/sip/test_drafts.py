"""Requests at the edge of what UDP should carry, and their ways (RFC 3261 18.1.1)."""

from collections.abc import Callable

import pytest

from sipis.sip.events import (
    DetourFailed,
    Event,
    RequestFailed,
    RequestTimedOut,
    ResponseReceived,
    TooLarge,
)
from sipis.sip.flow import Flow
from sipis.sip.message import Request, parse_message, response_to
from sipis.sip.stack import Stack

Make = Callable[..., Request]
LARGEST = 600


class Bench:
    """A stack with a bound on what leaves over UDP, its wire and its owner's ear."""

    def __init__(self, token: Callable[[], str], make_request: Make, udp: Flow, tcp: Flow) -> None:
        self.stack = Stack(token=token, largest_request=LARGEST)
        self.udp, self.tcp = udp, tcp
        self._make = make_request

    def request(self, method: str, size: int, **headers: str) -> Request:
        """A request that is that large once it has its Via."""
        request = self._make(method, to_tag="theirs", **headers)
        request.headers.remove("Via")
        via = "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKtoken2;rport\r\n"
        request.headers.set("Subject", "")
        missing = size - len(request.to_bytes()) - len(via)
        request.headers.set("Subject", "x" * missing)
        return request

    def send(self, request: Request, flow: Flow | None = None) -> str:
        return self.stack.send_request(
            request, flow or self.udp, 0.0, via_host="192.0.2.9", via_port=5060
        )

    def put_off(self, method: str = "OPTIONS") -> str:
        """A request that is too large by one byte."""
        transaction = self.send(self.request(method, LARGEST + 1))
        assert self.told() == [TooLarge(transaction, self.udp)]
        assert self.sent() == []
        return transaction

    def detour(self, transaction: str) -> None:
        self.stack.detour(transaction, self.tcp, 1.0, via_host="192.0.2.9", via_port=4444)

    def sent(self) -> list[tuple[Request, Flow]]:
        messages = [(parse_message(data), flow) for data, flow in self.stack.datagrams_to_send(0.0)]
        return [(message, flow) for message, flow in messages if isinstance(message, Request)]

    def told(self) -> list[Event]:
        events = []
        while (event := self.stack.next_event()) is not None:
            events.append(event)
        return events

    def answer(self, request: Request, status: int, flow: Flow) -> None:
        self.stack.receive(response_to(request, status, to_tag="theirs").to_bytes(), flow, 2.0)


@pytest.fixture
def bench(token: Callable[[], str], make_request: Make, udp: Flow, tcp: Flow) -> Bench:
    return Bench(token, make_request, udp, tcp)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_what_is_as_large_as_allowed_leaves_at_once(bench: Bench, method: str) -> None:
    bench.send(bench.request(method, LARGEST))
    [(request, flow)] = bench.sent()
    assert len(request.to_bytes()) == LARGEST
    assert flow == bench.udp
    assert bench.told() == []


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_larger_request_waits_for_a_word(bench: Bench, method: str) -> None:
    bench.put_off(method)
    assert bench.stack.transactions == 1
    assert bench.stack.next_deadline() is None


def test_a_stream_carries_any_size(bench: Bench) -> None:
    bench.send(bench.request("OPTIONS", LARGEST * 2), bench.tcp)
    assert [flow for _, flow in bench.sent()] == [bench.tcp]
    assert bench.told() == []


def test_without_a_bound_everything_leaves(bench: Bench, token: Callable[[], str]) -> None:
    bench.stack = Stack(token=token)
    bench.send(bench.request("OPTIONS", LARGEST * 10))
    assert len(bench.sent()) == 1


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_over_a_stream_it_leaves_under_a_via_of_that_stream(bench: Bench, method: str) -> None:
    transaction = bench.put_off(method)
    bench.detour(transaction)
    [(request, flow)] = bench.sent()
    assert flow == bench.tcp
    assert (request.via.transport, request.via.port) == ("TCP", 4444)
    bench.answer(request, 200, bench.tcp)
    [event] = bench.told()
    assert isinstance(event, ResponseReceived)
    assert (event.transaction, event.flow) == (transaction, bench.tcp)


def test_insisted_on_it_leaves_over_its_own_flow_and_is_repeated(bench: Bench) -> None:
    transaction = bench.put_off()
    bench.stack.insist(transaction, 1.0)
    [(request, flow)] = bench.sent()
    assert flow == bench.udp
    assert (request.via.transport, request.via.port) == ("UDP", 5060)
    bench.stack.on_timer(1.6)
    assert len(bench.sent()) == 1


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_stream_that_is_lost_unanswered_sends_it_over_its_own_flow(
    bench: Bench, method: str
) -> None:
    transaction = bench.put_off(method)
    bench.detour(transaction)
    [(over_stream, _)] = bench.sent()
    bench.stack.flow_closed(bench.tcp, 2.0)
    [(over_udp, flow)] = bench.sent()
    assert flow == bench.udp
    assert over_udp.via.transport == "UDP"
    assert over_udp.branch == over_stream.branch
    assert bench.told() == [DetourFailed(bench.udp)]
    bench.answer(over_udp, 200, bench.udp)
    [event] = bench.told()
    assert isinstance(event, ResponseReceived)
    assert event.transaction == transaction


def test_a_stream_that_is_lost_after_a_response_fails_the_request(bench: Bench) -> None:
    transaction = bench.put_off("INVITE")
    bench.detour(transaction)
    [(request, _)] = bench.sent()
    bench.answer(request, 180, bench.tcp)
    bench.told()
    bench.stack.flow_closed(bench.tcp, 2.0)
    assert bench.told() == [RequestFailed(transaction, "flow lost")]
    assert bench.sent() == []


def test_a_second_loss_fails_the_request(bench: Bench) -> None:
    transaction = bench.put_off()
    bench.detour(transaction)
    bench.stack.flow_closed(bench.tcp, 2.0)
    bench.told()
    bench.stack.flow_closed(bench.udp, 3.0)
    assert bench.told() == [RequestFailed(transaction, "flow lost")]
    assert bench.stack.transactions == 0


def test_an_invite_that_is_cancelled_on_its_stream_does_not_leave_again(bench: Bench) -> None:
    transaction = bench.put_off("INVITE")
    bench.detour(transaction)
    bench.sent()
    bench.stack.cancel(transaction, 1.5)
    bench.stack.flow_closed(bench.tcp, 2.0)
    assert bench.told() == [RequestFailed(transaction, "flow lost")]
    assert bench.sent() == []


def test_silence_on_a_stream_is_told_as_a_failed_detour(bench: Bench) -> None:
    transaction = bench.put_off()
    bench.detour(transaction)
    bench.stack.on_timer(40.0)
    assert bench.told() == [DetourFailed(bench.udp), RequestTimedOut(transaction)]


def test_a_stream_that_gave_a_provisional_response_is_no_failed_detour(bench: Bench) -> None:
    transaction = bench.put_off()
    bench.detour(transaction)
    [(request, _)] = bench.sent()
    bench.answer(request, 100, bench.tcp)
    bench.told()
    bench.stack.on_timer(40.0)
    assert bench.told() == [RequestTimedOut(transaction)]


def test_an_invite_that_is_given_up_before_it_has_a_way_never_leaves(bench: Bench) -> None:
    transaction = bench.put_off("INVITE")
    bench.stack.cancel(transaction, 0.5)
    assert bench.told() == [RequestFailed(transaction, "given up before it was sent")]
    bench.detour(transaction)
    bench.stack.insist(transaction, 1.0)
    assert bench.sent() == []
    assert bench.stack.transactions == 0


def test_an_abandoned_request_never_leaves_and_tells_nothing(bench: Bench) -> None:
    transaction = bench.put_off()
    bench.stack.abandon(transaction)
    bench.detour(transaction)
    assert (bench.sent(), bench.told()) == ([], [])
    assert bench.stack.transactions == 0


class TestAck:
    """The ACK to a 2xx, which carries the answer where the INVITE had no offer."""

    def invited(self, bench: Bench) -> str:
        invite = bench.send(bench.request("INVITE", LARGEST))
        [(request, _)] = bench.sent()
        self.ok = request
        bench.answer(request, 200, bench.udp)
        bench.told()
        return invite

    def acknowledge(self, bench: Bench, size: int) -> list[Event]:
        ack = bench.request("ACK", size)
        invite = self.invited(bench)
        bench.stack.send_ack(
            ack, bench.udp, 0.0, via_host="192.0.2.9", via_port=5060, invite=invite
        )
        return bench.told()

    def test_as_large_as_allowed_it_leaves_at_once(self, bench: Bench) -> None:
        assert self.acknowledge(bench, LARGEST) == []
        assert [flow for _, flow in bench.sent()] == [bench.udp]

    def test_a_larger_one_goes_over_a_stream_and_is_repeated_there(self, bench: Bench) -> None:
        [event] = self.acknowledge(bench, LARGEST + 1)
        assert isinstance(event, TooLarge)
        assert bench.sent() == []
        bench.detour(event.transaction)
        [(ack, flow)] = bench.sent()
        assert (ack.via.transport, flow) == ("TCP", bench.tcp)
        bench.answer(self.ok, 200, bench.udp)
        assert bench.sent()[0][1] == bench.tcp

    def test_or_over_its_own_flow(self, bench: Bench) -> None:
        [event] = self.acknowledge(bench, LARGEST + 1)
        assert isinstance(event, TooLarge)
        bench.stack.insist(event.transaction, 1.0)
        [(ack, flow)] = bench.sent()
        assert (ack.via.transport, flow) == ("UDP", bench.udp)
