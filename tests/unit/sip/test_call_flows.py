"""The call flows of RFC 3665, played against a stack in the place of each user agent in turn.

A transcript holds the messages of one flow as the RFC prints them, without page breaks and with two
slips of it mended (3.8 F19 lacks its length, 3.9 F10 has two spaces). The peers say their lines
word for word; what the stack sends must be the RFC's own message, but for the branch that only we
can know, and for the Route that RFC 3261 17.1.1.3 wants in the ACK to a refusal.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipis.sip.events import CancelReceived, RequestReceived, ResponseReceived
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.headers import Via
from sipis.sip.message import Message, Request, Response, key_of, parse_message, response_to
from sipis.sip.stack import Stack

FLOWS = Path(__file__).parents[2] / "data" / "flows"
STEP = re.compile(r"(F\d+) (.+?) -> (.+?)( again)?$", re.MULTILINE)
BRANCH = re.compile(rb"branch=[^;\r,]+")
COPIED = {"via", "from", "to", "call-id", "cseq", "record-route"}
SHARED_BY_ACK = ("from", "to", "call-id", "cseq")


@dataclass(frozen=True)
class Line:
    """One message of a flow; `again` repeats the last one that took the same way."""

    name: str
    sender: str
    receiver: str
    again: bool
    data: bytes

    @property
    def message(self) -> Request | Response:
        return parse_message(self.data)


def lines_of(path: Path) -> list[Line]:
    _, *parts = STEP.split(path.read_text())
    steps = zip(parts[::5], parts[1::5], parts[2::5], parts[3::5], parts[4::5], strict=True)
    return [Line(name, sender, receiver, bool(again), as_bytes(text))
            for name, sender, receiver, again, text in steps]  # fmt: skip


def as_bytes(text: str) -> bytes:
    head, _, body = text.strip("\n").partition("\n\n")
    body = body + "\n" if body else ""
    return f"{head}\n\n{body}".replace("\n", "\r\n").encode()


def parts() -> Iterator[object]:
    """Each flow with each user agent that says something in it."""
    for path in sorted(FLOWS.glob("*.sip")):
        for agent in ("Alice", "Bob"):
            if any(line.sender == agent for line in lines_of(path)):
                yield pytest.param(path, agent, id=f"{path.stem.partition('-')[0]}-{agent}")


@dataclass
class Part:
    """One user agent: a stack, and what its user must remember to say the next line."""

    lines: list[Line]
    agent: str
    token: Callable[[], str]
    now: float = 0.0
    said: dict[bytes, bytes] = field(default_factory=dict)
    asked: dict[str, tuple[str, Request, Flow]] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    invite: Message | None = None
    refused: bool = False
    waiting: deque[bytes] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.stack = Stack(token=self.token)

    def play(self) -> None:
        for line in self.lines:
            if line.receiver == self.agent and not line.again:
                self.hear(line)
            elif line.sender == self.agent:
                self.say(line)
        assert not self.waiting

    def hear(self, line: Line) -> None:
        message = line.message
        data = self.in_our_words(line.data) if isinstance(message, Response) else line.data
        self.stack.receive(data, self.flow_of(line), self.now)
        self.collect()
        events = self.events()
        assert [type(event) for event in events] == self.expected(message), line.name
        for event in events:
            self.remember(event)
        self.note_final(message)

    def expected(self, message: Message) -> list[type]:
        """What a user agent must be told of one line."""
        if isinstance(message, Response):
            return [] if message.cseq.method == "CANCEL" else [ResponseReceived]
        assert isinstance(message, Request)
        if message.method == "CANCEL":
            return [CancelReceived]
        return [] if message.method == "ACK" and self.refused else [RequestReceived]

    def note_final(self, message: Message) -> None:
        if isinstance(message, Response) and message.cseq.method == "INVITE":
            self.refused = message.status >= 300

    def say(self, line: Line) -> None:
        if line.again:
            self.wait_for_a_repeat()
        elif isinstance(message := line.message, Request):
            self.ask(line, message)
        else:
            self.reply(line, message)

    def ask(self, line: Line, wanted: Request) -> None:
        if wanted.method == "CANCEL":
            self.stack.cancel(self.sent["INVITE"], self.now)
        elif wanted.method != "ACK" or not self.refused:
            self.send(line, wanted)
        self.collect()
        data = self.waiting.popleft()
        if wanted.method == "CANCEL" or (wanted.method == "ACK" and self.refused):
            self.assert_same_hop(parse_message(data), wanted)
        else:
            self.said[branch_of(line.data)] = branch_of(data)
            if wanted.method == "INVITE":
                self.invite = parse_message(data)
            got = parse_message(data)
            assert essence(got) == essence(wanted), line.name
            assert (got.via.transport, got.via.host) == (wanted.via.transport, wanted.via.host)

    def assert_same_hop(self, got: Message, wanted: Request) -> None:
        """What an ACK to a refusal and a CANCEL must share with their INVITE (17.1.1.3, 9.1)."""
        assert self.invite is not None
        assert got.start_line() == wanted.start_line()
        assert [*map(hop_of, got.vias)] == [*map(hop_of, self.invite.vias)]
        assert got.routes == self.invite.routes
        for name in SHARED_BY_ACK:
            assert got.headers.get(name) == wanted.headers.get(name)

    def send(self, line: Line, wanted: Request) -> None:
        request = line.message
        assert isinstance(request, Request)
        request.headers.remove("Via")
        flow, via = self.flow_of(line), wanted.via
        if wanted.method == "ACK":
            self.stack.send_ack(request, flow, self.now, via_host=via.host, via_port=via.port,
                                invite=self.sent["INVITE"])  # fmt: skip
        else:
            self.sent[wanted.method] = self.stack.send_request(
                request, flow, self.now, via_host=via.host, via_port=via.port, rport=False
            )

    def reply(self, line: Line, wanted: Response) -> None:
        method = wanted.cseq.method
        if method != "CANCEL":
            id_, request, _ = self.asked[method]
            answer = response_to(request, wanted.status, wanted.reason, to_tag=wanted.to.tag)
            for name, value in wanted.headers:
                if key_of(name) not in COPIED:
                    answer.headers.add(name, value)
            answer.body = wanted.body
            self.stack.respond(id_, answer, self.now)
        self.collect()
        got = parse_message(self.waiting.popleft())
        assert got.start_line() == wanted.start_line(), line.name
        assert [*map(hop_of, got.vias)] == [*map(hop_of, wanted.vias)], line.name
        assert wanted.via.received in (None, got.via.received), line.name
        self.note_final(got)
        if method != "CANCEL":
            assert essence(got) == essence(wanted), line.name

    def wait_for_a_repeat(self) -> None:
        deadline = self.stack.next_deadline()
        assert deadline is not None
        self.now = deadline
        self.stack.on_timer(self.now)
        self.collect()
        assert branch_of(self.waiting.popleft()) in self.said.values()

    def collect(self) -> None:
        self.waiting += [data for data, _ in self.stack.datagrams_to_send(self.now)]

    def events(self) -> list[object]:
        events: list[object] = []
        while (event := self.stack.next_event()) is not None:
            events.append(event)
        return events

    def remember(self, event: object) -> None:
        if isinstance(event, RequestReceived) and event.transaction is not None:
            self.asked[event.request.method] = event.transaction, event.request, event.flow

    def in_our_words(self, data: bytes) -> bytes:
        return BRANCH.sub(lambda found: self.said.get(found[0], found[0]), data)

    def flow_of(self, line: Line) -> Flow:
        """From where the RFC says that it came, which shows in the `received` of our answer."""
        message = line.message
        via = message.via
        transport = Transport(via.transport.lower())
        remote = self.source_of(message) if isinstance(message, Request) else "192.0.2.1"
        return Flow(1, Door.PROVIDER, transport, ("192.0.2.9", 5060), (remote, 5060))

    def source_of(self, request: Request) -> str:
        answers = (line.message for line in self.lines if not line.again)
        return next((answer.via.received for answer in answers
                     if isinstance(answer, Response) and answer.via.received
                     and answer.via.branch == request.via.branch), request.via.host)  # fmt: skip


def branch_of(data: bytes) -> bytes:
    found = BRANCH.search(data)
    assert found
    return found[0]


def essence(message: Message) -> tuple[str, list[tuple[str, str]], bytes]:
    """All but the branch of the top Via, the order of headers and white space."""
    headers = [(key_of(name), "".join(value.split())) for name, value in message.headers
               if key_of(name) != "via"]  # fmt: skip
    return message.start_line(), sorted(headers), message.body


def hop_of(via: Via) -> tuple[str, str, int | None, str | None]:
    return via.transport, via.host, via.port, via.branch


@pytest.mark.parametrize(("path", "agent"), list(parts()))
def test_a_user_agent_plays_its_part_in_the_flow(
    path: Path, agent: str, token: Callable[[], str]
) -> None:
    Part(lines_of(path), agent, token).play()


@pytest.mark.parametrize("path", sorted(FLOWS.glob("*.sip")), ids=lambda path: path.stem)
def test_every_message_of_the_flow_leaves_as_it_came(path: Path) -> None:
    lines = [line for line in lines_of(path) if not line.again]
    assert lines
    assert [line.message.to_bytes() for line in lines] == [line.data for line in lines]
