"""Two stacks joined in memory: the flows of RFC 3665, the races of RFC 5407, bad networks."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipis.sip.dialog import Dialog
from sipis.sip.events import (
    AckMissing,
    CancelReceived,
    Event,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
)
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request, Response, parse_message, response_to
from sipis.sip.stack import Stack

DELAY = 0.01
Fate = list[float]
"""When the copies of one datagram arrive, in seconds after it was sent; none: it is lost."""

CONTACT = {"alice": "<sip:alice@192.0.2.1:5060>", "bob": "<sip:bob@192.0.2.2:5060>"}


class Side:
    """One end: a stack, its events, and a transaction user that reacts to them."""

    def __init__(self, name: str, host: str, peer: str, transport: Transport) -> None:
        numbers = count(1)
        self.name = name
        self.host = host
        self.stack = Stack(token=lambda: f"{name}{next(numbers)}")
        self.flow = Flow(1, Door.PROVIDER, transport, (host, 5060), (peer, 5060))
        self.events: list[Event] = []
        self.react: Callable[[Event, float], None] = lambda _event, _now: None

    def send(self, request: Request, now: float) -> str:
        return self.stack.send_request(request, self.flow, now, via_host=self.host, via_port=5060)

    def ack(self, request: Request, invite: str, now: float) -> None:
        self.stack.send_ack(
            request, self.flow, now, via_host=self.host, via_port=5060, invite=invite
        )

    def respond(self, event: RequestReceived | CancelReceived, status: int, now: float) -> None:
        assert event.transaction is not None
        response = response_to(event.request, status, to_tag=f"{self.name}-tag")
        if event.request.method == "INVITE":
            response.headers.add("Contact", CONTACT[self.name])
        self.stack.respond(event.transaction, response, now)

    def drain(self, now: float) -> None:
        while (event := self.stack.next_event()) is not None:
            self.events.append(event)
            self.react(event, now)

    def requests(self, method: str) -> list[RequestReceived]:
        received = [event for event in self.events if isinstance(event, RequestReceived)]
        return [event for event in received if event.request.method == method]

    def statuses(self) -> list[int]:
        return [e.response.status for e in self.events if isinstance(e, ResponseReceived)]

    def told(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


class Network:
    """Carries datagrams between two sides under a clock that only run() moves."""

    def __init__(self, *, fates: Iterable[Fate] = (), transport: Transport = Transport.UDP) -> None:
        self.alice = Side("alice", "192.0.2.1", "192.0.2.2", transport)
        self.bob = Side("bob", "192.0.2.2", "192.0.2.1", transport)
        self.now = 0.0
        self.seen: list[str] = []
        self._fates: Iterator[Fate] = iter(fates)
        self._flying: list[tuple[float, int, Side, bytes]] = []
        self._order = count()

    def run(self, until: float) -> None:
        """Let everything happen up to a moment."""
        self._pump()
        while (due := self._next()) is not None and due <= until:
            self.now = max(due, self.now)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, side, data = heapq.heappop(self._flying)
                side.stack.receive(data, side.flow, self.now)
            for side in (self.alice, self.bob):
                side.stack.on_timer(self.now)
            self._pump()
        self.now = until

    def quiet(self) -> bool:
        return self._next() is None and not any(
            side.stack.transactions for side in (self.alice, self.bob)
        )

    def _pump(self) -> None:
        for side, other in ((self.alice, self.bob), (self.bob, self.alice)):
            side.drain(self.now)
            for data, _ in side.stack.datagrams_to_send(self.now):
                self.seen.append(f"{side.name}: {words(data)}")
                for delay in next(self._fates, [DELAY]):
                    entry = (self.now + delay, next(self._order), other, data)
                    heapq.heappush(self._flying, entry)

    def _next(self) -> float | None:
        deadlines = [self.alice.stack.next_deadline(), self.bob.stack.next_deadline()]
        moments = [moment for moment in deadlines if moment is not None]
        if self._flying:
            moments.append(self._flying[0][0])
        return min(moments, default=None)


def words(data: bytes) -> str:
    message = parse_message(data)
    if isinstance(message, Response):
        return f"{message.status} {message.cseq.method}"
    return message.method


def request(method: str, cseq: int = 1) -> Request:
    headers = [
        ("Max-Forwards", "70"),
        ("From", "<sip:alice@example.com>;tag=alice-tag"),
        ("To", "<sip:bob@example.com>"),
        ("Call-ID", "call-1"),
        ("CSeq", f"{cseq} {method}"),
        ("Contact", CONTACT["alice"]),
    ]
    return Request.build(method, "sip:bob@192.0.2.2:5060", headers)


def answering(side: Side, *statuses: int) -> Callable[[Event, float], None]:
    """Answer each new request with these, at once; a CANCEL with 487."""

    def react(event: Event, now: float) -> None:
        if isinstance(event, CancelReceived):
            invite = side.requests("INVITE")[0]
            side.respond(invite, 487, now)
        elif isinstance(event, RequestReceived) and event.transaction is not None:
            for status in statuses if event.request.method == "INVITE" else [200]:
                side.respond(event, status, now)

    return react


def acknowledging(side: Side, invite: Request) -> Callable[[Event, float], None]:
    """Acknowledge each 2xx to the INVITE."""

    def react(event: Event, now: float) -> None:
        if isinstance(event, ResponseReceived) and words(event.response.to_bytes()) == "200 INVITE":
            dialog = Dialog.uac(invite, event.response)
            side.ack(dialog.ack(invite.cseq.number), event.transaction, now)

    return react


@pytest.fixture
def network() -> Network:
    return Network()


def test_a_registration_is_challenged_and_granted(network: Network) -> None:
    """RFC 3665 2.1."""
    granted = iter([401, 200])
    network.bob.react = lambda event, now: (
        network.bob.respond(event, next(granted), now)
        if isinstance(event, RequestReceived)
        else None
    )
    network.alice.send(request("REGISTER", 1), network.now)
    network.run(1.0)
    network.alice.send(request("REGISTER", 2), network.now)
    network.run(60.0)
    assert network.alice.statuses() == [401, 200]
    assert network.seen == [
        "alice: REGISTER",
        "bob: 401 REGISTER",
        "alice: REGISTER",
        "bob: 200 REGISTER",
    ]
    assert network.quiet()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.WSS])
def test_a_session_is_set_up_and_torn_down(transport: Transport) -> None:
    """RFC 3665 3.1."""
    network = Network(transport=transport)
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, 100, 180, 200)
    alice.react = acknowledging(alice, invite)
    alice.send(invite, network.now)
    network.run(1.0)
    assert network.seen == [
        "alice: INVITE",
        "bob: 100 INVITE",
        "bob: 180 INVITE",
        "bob: 200 INVITE",
        "alice: ACK",
    ]
    assert len(bob.requests("ACK")) == 1
    callee = Dialog.uas(bob.requests("INVITE")[0].request, "bob-tag")
    callee.confirm()
    alice.react = answering(alice)
    bob.send(callee.request("BYE"), network.now)
    network.run(2.0)
    assert network.seen[5:] == ["bob: BYE", "alice: 200 BYE"]
    network.run(100.0)
    assert network.quiet()


def test_a_busy_callee_is_acknowledged_by_the_stack(network: Network) -> None:
    """RFC 3665 3.9."""
    network.bob.react = answering(network.bob, 486)
    network.alice.send(request("INVITE"), network.now)
    network.run(1.0)
    assert network.seen == ["alice: INVITE", "bob: 486 INVITE", "alice: ACK"]
    assert network.alice.statuses() == [486]
    assert network.bob.requests("ACK") == []
    network.run(100.0)
    assert network.quiet()


def test_a_caller_gives_up(network: Network) -> None:
    """RFC 3665 3.8."""
    network.bob.react = answering(network.bob, 100, 180)
    id_ = network.alice.send(request("INVITE"), network.now)
    network.run(5.0)
    network.alice.stack.cancel(id_, network.now)
    network.run(6.0)
    assert network.seen[3:] == [
        "alice: CANCEL",
        "bob: 200 CANCEL",
        "bob: 487 INVITE",
        "alice: ACK",
    ]
    assert network.alice.statuses() == [100, 180, 487]
    network.run(100.0)
    assert network.quiet()


def test_a_silent_transaction_user_gets_100_sent_for_it(network: Network) -> None:
    network.alice.send(request("INVITE"), network.now)
    network.run(0.45)
    assert network.seen == ["alice: INVITE", "bob: 100 INVITE"]
    assert network.alice.statuses() == [100]


def test_a_dead_peer_is_noticed_after_32_seconds() -> None:
    network = Network(fates=[[]] * 100)
    network.alice.send(request("OPTIONS"), network.now)
    network.run(32.0)
    assert network.alice.told(RequestTimedOut) == 1
    assert network.seen == ["alice: OPTIONS"] * 11
    assert network.quiet()


def test_a_lost_ack_is_sent_again_with_the_next_2xx() -> None:
    network = Network(fates=[[DELAY], [DELAY], []])
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, 200)
    alice.react = acknowledging(alice, invite)
    alice.send(invite, network.now)
    network.run(10.0)
    assert network.seen[2:] == ["alice: ACK", "bob: 200 INVITE", "alice: ACK"]
    assert alice.statuses() == [200]
    assert len(bob.requests("ACK")) == 1


def test_a_callee_whose_2xx_is_never_acknowledged_learns_it(network: Network) -> None:
    network.bob.react = answering(network.bob, 200)
    network.alice.send(request("INVITE"), network.now)
    network.run(40.0)
    assert network.bob.told(AckMissing) == 1
    assert network.alice.statuses() == [200]
    assert network.quiet()


def test_a_cancel_that_crosses_a_2xx_has_no_effect(network: Network) -> None:
    """RFC 5407 3.1.2: the callee answers while the CANCEL is on its way."""
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, 180)
    alice.react = acknowledging(alice, invite)
    id_ = alice.send(invite, network.now)
    network.run(1.0)
    alice.stack.cancel(id_, network.now)
    bob.respond(bob.requests("INVITE")[0], 200, network.now)
    network.run(2.0)
    assert bob.told(CancelReceived) == 0
    assert alice.statuses() == [180, 200]
    assert "bob: 200 CANCEL" in network.seen
    assert len(bob.requests("ACK")) == 1


def test_a_cancel_held_back_is_never_sent_when_the_2xx_comes_first(network: Network) -> None:
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, 200)
    alice.react = acknowledging(alice, invite)
    id_ = alice.send(invite, network.now)
    alice.stack.cancel(id_, network.now)
    network.run(1.0)
    assert "alice: CANCEL" not in network.seen
    assert alice.statuses() == [200]
    assert len(bob.requests("ACK")) == 1


def test_a_cancel_held_back_follows_the_first_provisional(network: Network) -> None:
    network.bob.react = answering(network.bob, 180)
    id_ = network.alice.send(request("INVITE"), network.now)
    network.alice.stack.cancel(id_, network.now)
    network.run(1.0)
    assert network.seen == [
        "alice: INVITE",
        "bob: 180 INVITE",
        "alice: CANCEL",
        "bob: 200 CANCEL",
        "bob: 487 INVITE",
        "alice: ACK",
    ]


def test_a_cancel_that_crosses_a_refusal_has_no_effect(network: Network) -> None:
    alice, bob = network.alice, network.bob
    bob.react = answering(bob, 180)
    id_ = alice.send(request("INVITE"), network.now)
    network.run(1.0)
    alice.stack.cancel(id_, network.now)
    bob.respond(bob.requests("INVITE")[0], 603, network.now)
    network.run(2.0)
    assert bob.told(CancelReceived) == 0
    assert alice.statuses() == [180, 603]
    network.run(100.0)
    assert network.quiet()


def test_a_2xx_of_a_callee_that_ignores_the_cancel_still_counts(network: Network) -> None:
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    ringing = answering(bob, 180)
    bob.react = lambda event, now: (
        None if isinstance(event, CancelReceived) else ringing(event, now)
    )
    alice.react = acknowledging(alice, invite)
    id_ = alice.send(invite, network.now)
    network.run(1.0)
    alice.stack.cancel(id_, network.now)
    network.run(2.0)
    bob.respond(bob.requests("INVITE")[0], 200, network.now)
    network.run(3.0)
    assert alice.statuses() == [180, 200]
    assert len(bob.requests("ACK")) == 1


def test_a_cancel_that_overtakes_its_invite_is_answered_481() -> None:
    network = Network(fates=[[DELAY], [DELAY]])
    alice, bob = network.alice, network.bob
    id_ = alice.send(request("INVITE"), network.now)
    network.run(0.3)
    bob.stack.drop(str(bob.requests("INVITE")[0].transaction))
    alice.stack.cancel(id_, network.now)
    network.run(1.0)
    assert "bob: 481 CANCEL" in network.seen
    assert bob.told(CancelReceived) == 0


def test_byes_that_cross_are_both_answered(network: Network) -> None:
    """RFC 5407 3.2.2."""
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, 200)
    alice.react = acknowledging(alice, invite)
    alice.send(invite, network.now)
    network.run(1.0)
    (accepted,) = [e.response for e in alice.events if isinstance(e, ResponseReceived)]
    caller = Dialog.uac(invite, accepted)
    callee = Dialog.uas(bob.requests("INVITE")[0].request, "bob-tag")
    callee.confirm()
    alice.react = answering(alice)
    alice.send(caller.request("BYE"), network.now)
    bob.send(callee.request("BYE"), network.now)
    network.run(2.0)
    assert alice.statuses() == [200, 200]
    assert bob.statuses() == [200]


any_fates = st.lists(st.lists(st.sampled_from([0.01, 0.3, 0.8, 1.7]), max_size=2), max_size=14)
mild_fates = any_fates.filter(lambda fates: fates.count([]) <= 4)
"""Too few losses to swallow every copy of a request before it is given up."""


@settings(max_examples=150, deadline=None)
@given(fates=any_fates)
def test_a_request_is_told_once_and_answered_once_on_any_network(fates: list[Fate]) -> None:
    network = Network(fates=fates)
    network.bob.react = answering(network.bob)
    network.alice.send(request("MESSAGE"), network.now)
    network.run(200.0)
    outcomes = network.alice.told(ResponseReceived) + network.alice.told(RequestTimedOut)
    assert outcomes == 1
    assert len(network.bob.requests("MESSAGE")) <= 1
    assert network.quiet()


@settings(max_examples=150, deadline=None)
@given(
    fates=mild_fates, statuses=st.sampled_from([(200,), (180, 200), (100, 183, 200), (180, 486)])
)
def test_an_invite_comes_to_one_end_on_any_network(
    fates: list[Fate], statuses: tuple[int, ...]
) -> None:
    network = Network(fates=fates)
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, *statuses)
    alice.react = acknowledging(alice, invite)
    alice.send(invite, network.now)
    network.run(200.0)
    finals = [status for status in alice.statuses() if status >= 200]
    assert finals == [statuses[-1]]
    assert len(bob.requests("INVITE")) == 1
    assert len(bob.requests("ACK")) == (1 if statuses[-1] == 200 else 0)
    assert bob.told(AckMissing) == 0
    assert network.quiet()


@settings(max_examples=150, deadline=None)
@given(fates=mild_fates, when=st.sampled_from([0.0, 0.005, 0.02, 0.4, 1.1]), late=st.booleans())
def test_a_cancelled_invite_ends_the_same_on_both_sides_on_any_network(
    fates: list[Fate], when: float, late: bool
) -> None:
    network = Network(fates=fates)
    alice, bob = network.alice, network.bob
    invite = request("INVITE")
    bob.react = answering(bob, 180, 200) if late else answering(bob, 180)
    alice.react = acknowledging(alice, invite)
    id_ = alice.send(invite, network.now)
    network.run(when)
    alice.stack.cancel(id_, network.now)
    network.run(200.0)
    finals = [status for status in alice.statuses() if status >= 200]
    assert finals == ([200] if late else [487])
    assert bob.told(CancelReceived) <= 1
    assert len(bob.requests("ACK")) == len([status for status in finals if status == 200])
    assert network.quiet()
