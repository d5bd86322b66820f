"""Every bound at its edge, the worst inputs, and floods: n is taken, n + 1 is not."""

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from sipis.errors import RemoteProtocolError
from sipis.sip import limits
from sipis.sip.dialog import DialogState
from sipis.sip.events import Malformed, Overloaded, RequestReceived
from sipis.sip.flow import Flow
from sipis.sip.forks import MAX_DIALOGS, Forks
from sipis.sip.framing import StreamFramer
from sipis.sip.grammar import split_list
from sipis.sip.headers import CSeq, RetryAfter
from sipis.sip.message import Request, parse_message, response_to
from sipis.sip.params import Params
from sipis.sip.stack import Stack
from tests.support.worst import HEAD, READERS, worst_inputs

Make = Callable[..., Request]

START_LINES = HEAD.count(b"\r\n") - 1
"""Headers that HEAD has, its start line left out."""


def parse_with_headers(count: int) -> None:
    parse_message(HEAD + b"X: 1\r\n" * (count - START_LINES) + b"\r\n")


def parse_with_line_of(size: int) -> None:
    parse_message(HEAD + b"X: " + b"a" * (size - 3) + b"\r\n\r\n")


def parse_with_folded_line_of(size: int) -> None:
    fold = b"\r\n "
    parse_message(HEAD + b"X: a" + fold + b"a" * (size - 4 - len(fold)) + b"\r\n\r\n")


def read_values_of_one_line(count: int) -> None:
    split_list(",".join(["a"] * count))


def read_values_of_many_lines(count: int) -> None:
    tags = b"Require: " + b",".join([b"a"] * (count // 2)) + b"\r\n"
    rest = b"Require: " + b",".join([b"a"] * (count - count // 2)) + b"\r\n"
    _ = parse_message(HEAD + tags + rest + b"\r\n").require


def frame_a_message_of(size: int) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n"
    body = size - len(head % 10_000)
    StreamFramer().feed(head % body + bytes(body))


def frame_half_a_head_of(size: int) -> None:
    StreamFramer().feed(HEAD + b"a" * (size - len(HEAD)))


EDGES: dict[str, list[tuple[int, Callable[[int], object]]]] = {
    "MAX_DATAGRAM": [(limits.MAX_DATAGRAM, lambda n: parse_datagram(n, limits.MAX_DATAGRAM))],
    "MAX_STREAM_MESSAGE": [
        (limits.MAX_STREAM_MESSAGE, lambda n: parse_datagram(n, limits.MAX_STREAM_MESSAGE)),
        (limits.MAX_STREAM_MESSAGE, frame_a_message_of),
        (limits.MAX_STREAM_MESSAGE, frame_half_a_head_of),
    ],
    "MAX_HEADERS": [(limits.MAX_HEADERS, parse_with_headers)],
    "MAX_HEADER_LINE": [
        (limits.MAX_HEADER_LINE, parse_with_line_of),
        (limits.MAX_HEADER_LINE, parse_with_folded_line_of),
    ],
    "MAX_VALUES": [
        (limits.MAX_VALUES, read_values_of_one_line),
        (limits.MAX_VALUES, read_values_of_many_lines),
    ],
    "MAX_PARAMS": [(limits.MAX_PARAMS, lambda n: Params.parse(";a" * n))],
    "MAX_CSEQ": [(limits.MAX_CSEQ, lambda n: CSeq.parse(f"{n} INVITE"))],
    "MAX_SECONDS": [(limits.MAX_SECONDS, lambda n: RetryAfter.parse(str(n)))],
}


def parse_datagram(size: int, limit: int) -> None:
    parse_message(HEAD + b"\r\n" + bytes(size - len(HEAD) - 2), limit=limit)


def test_every_limit_has_its_edge_tested() -> None:
    named = {name for name in vars(limits) if name.startswith("MAX_")}
    assert named <= EDGES.keys()


@pytest.mark.parametrize(
    ("limit", "read"),
    [
        pytest.param(*edge, id=f"{name}-{i}")
        for name, es in EDGES.items()
        for i, edge in enumerate(es)
    ],
)
def test_as_much_as_allowed_is_taken_and_one_more_is_refused(
    limit: int, read: Callable[[int], object]
) -> None:
    read(limit)
    with pytest.raises(RemoteProtocolError):
        read(limit + 1)


def test_an_interval_beyond_the_largest_is_the_largest() -> None:
    message = parse_message(HEAD + b"Expires: %d\r\n\r\n" % (limits.MAX_SECONDS + 1))
    assert message.expires == limits.MAX_SECONDS


@pytest.mark.parametrize(
    ("transport", "size"),
    [("udp", limits.MAX_DATAGRAM), ("tcp", limits.MAX_STREAM_MESSAGE)],
)
def test_a_stack_owes_513_to_one_byte_too_many(
    transport: str, size: int, request: pytest.FixtureRequest, token: Callable[[], str]
) -> None:
    stack, flow = Stack(token=token), request.getfixturevalue(transport)
    whole = HEAD + b"\r\n" + bytes(size - len(HEAD) - 2)
    stack.receive(whole, flow, 0.0)
    assert isinstance(stack.next_event(), RequestReceived)
    stack.receive(whole + b"\0", flow, 0.0)
    refused = stack.next_event()
    assert isinstance(refused, Malformed)
    assert refused.answered == 513


def test_as_many_callees_as_allowed_open_dialogs(make_request: Make) -> None:
    forks = Forks(make_request())
    answers = [response_to(make_request(), 180, to_tag=f"t{n}") for n in range(MAX_DIALOGS + 1)]
    *opened, refused = [forks.hear(answer) for answer in answers]
    assert all(dialog and dialog.state is DialogState.EARLY for dialog in opened)
    assert refused is None


def test_as_many_transactions_as_allowed_exist_and_one_more_is_dropped(
    udp: Flow, make_request: Make, token: Callable[[], str]
) -> None:
    stack = Stack(token=token, most_transactions=3)
    for number in range(4):
        request = make_request("OPTIONS", branch=f"z9hG4bK{number}", call_id=str(number))
        stack.receive(request.to_bytes(), udp, 0.0)
    events = [stack.next_event() for _ in range(4)]
    assert [type(event) for event in events] == [*[RequestReceived] * 3, Overloaded]
    assert stack.datagrams_to_send(0.0) == []


def test_the_worst_64_kib_take_bounded_time() -> None:
    """The aim is 20 ms each; a busy machine may take much longer, a blow-up takes many seconds."""
    slow = []
    for name, data in worst_inputs().items():
        for read in READERS:
            before = time.process_time()
            with suppress(RemoteProtocolError):
                read(data)
            if time.process_time() - before > 1.0:
                slow.append((name, read.__name__))
    assert not slow


class TestFloods:
    """What is held does not grow with what arrives."""

    MOST = 500

    @pytest.fixture
    def stack(self, token: Callable[[], str]) -> Stack:
        return Stack(token=token, most_transactions=self.MOST)

    def flood(self, stack: Stack, make: Make, flow: Flow, method: str, numbers: range) -> None:
        for number in numbers:
            request = make(method, branch=f"z9hG4bK{number}", call_id=f"call-{number}")
            stack.receive(request.to_bytes(), flow, 0.0)
            while stack.next_event():
                continue
            stack.datagrams_to_send(0.0)

    @pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
    def test_a_flood_of_requests_stays_inside_fixed_memory(
        self, stack: Stack, make_request: Make, udp: Flow, method: str
    ) -> None:
        self.flood(stack, make_request, udp, method, range(self.MOST))
        tracemalloc.start()
        self.flood(stack, make_request, udp, method, range(self.MOST, 5 * self.MOST))
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert stack.transactions == self.MOST
        assert grown < 50_000

    def test_a_flood_leaves_nothing_behind(
        self, stack: Stack, make_request: Make, udp: Flow
    ) -> None:
        self.flood(stack, make_request, udp, "INVITE", range(2 * self.MOST))
        stack.on_timer(1000.0)
        assert stack.transactions == 0
        assert stack.next_deadline() is None
        servers = stack._servers
        indexes = servers._transactions, servers._by_merge_key, servers._by_ack_key
        assert not any(indexes)

    @pytest.mark.parametrize("piece", [b"a", b"X: 1\r\n", b"X: a\r\n b\r\n", b"l: 60000\r\n"])
    def test_half_a_message_is_held_up_to_the_size_of_one(self, piece: bytes) -> None:
        framer = StreamFramer()
        framer.feed(HEAD)
        while len(framer._buffer) + len(piece) <= limits.MAX_STREAM_MESSAGE:
            framer.feed(piece)
        with pytest.raises(RemoteProtocolError):
            framer.feed(piece)
        assert not framer.pending

    def test_a_body_that_never_ends_is_held_up_to_its_length(self) -> None:
        framer = StreamFramer()
        framer.feed(HEAD + b"l: 60000\r\n\r\n")
        for _ in range(59):
            assert framer.feed(bytes(1000)) == []
        assert len(framer._buffer) < limits.MAX_STREAM_MESSAGE
        assert len(framer.feed(bytes(1000))) == 1
