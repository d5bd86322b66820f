"""What must hold for any bytes at all; raises AssertionError, or whatever broke, where it does not.

Knows nothing of fuzzers, so that the corpus can be replayed by any test.
"""

from itertools import count

from sipis.errors import RemoteProtocolError
from sipis.sip.digest import DigestChallenge, read_challenges
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.framing import Keepalive, StreamFramer
from sipis.sip.headers import CSeq, MediaType, NameAddr, Reason, RetryAfter, Via
from sipis.sip.message import Message, Response, parse_message, salvage_request
from sipis.sip.sdp import without_crypto
from sipis.sip.stack import Stack
from sipis.sip.uri import parse_uri
from tests.support.worst import touch

FLOWS = (
    Flow(1, Door.PROVIDER, Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060)),
    Flow(2, Door.APP, Transport.TCP, ("192.0.2.9", 5060), ("192.0.2.1", 5060)),
)
STACK = Stack(token=map(str, count(10**31)).__next__)
"""One for all inputs, since each leaves it empty."""
OVERHEAD = 150
"""Bytes of our own in an answer: status line, To tag, received, rport, Content-Length."""
VALUES = (NameAddr, Via, CSeq, MediaType, Reason, RetryAfter)

Frames = tuple[list[bytes | Keepalive], bool]


def check(data: bytes) -> None:
    """Everything that the room does with bytes of strangers."""
    check_message(data)
    check_frames(data)
    check_stack(data)
    check_values(data)
    check_description(data)


def check_message(data: bytes) -> None:
    """Reading blames the peer or gives a message that reads back as what it was written as."""
    try:
        message = parse_message(data)
    except RemoteProtocolError:
        touch(salvage_request(data))
        return
    touch(message)
    written = message.to_bytes()
    assert parse_message(written).to_bytes() == written
    check_challenges(message)


def check_challenges(message: Message) -> None:
    """Challenges are read or left out."""
    if isinstance(message, Response):
        assert all(isinstance(one, DigestChallenge) for one in read_challenges(message))


def check_frames(data: bytes) -> None:
    """The same frames come however the bytes are split."""
    place = data[0] % len(data) if data else 0
    whole = frames_of([data])
    assert frames_of([data[:place], data[place:]]) == whole
    if len(data) < 64:
        assert frames_of([data[i : i + 1] for i in range(len(data))]) == whole


def frames_of(pieces: list[bytes]) -> Frames:
    framer, frames = StreamFramer(), list[bytes | Keepalive]()
    for piece in pieces:
        try:
            frames += framer.feed(piece)
        except RemoteProtocolError:
            break
    return frames, framer.broken


def check_stack(data: bytes) -> None:
    """Nothing is raised, nothing is left behind, no answer is much larger than what it answers."""
    flow = FLOWS[len(data) % 2]
    for now in (0.0, 0.1):
        STACK.receive(data, flow, now)
        assert all(len(sent) <= len(data) + OVERHEAD for sent, _ in STACK.datagrams_to_send(now))
    while STACK.next_event() is not None:
        continue
    STACK.on_timer(1e6)
    STACK.datagrams_to_send(1e6)
    assert STACK.transactions == 0
    assert STACK.next_deadline() is None


def check_values(data: bytes) -> None:
    """A value that reads is written as one that reads the same."""
    text = data.decode("utf-8", "surrogateescape")
    for kind in VALUES:
        try:
            value = kind.parse(text)
        except RemoteProtocolError:
            continue
        assert str(kind.parse(str(value))) == str(value)
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return
    assert str(parse_uri(str(uri))) == str(uri)


def check_description(data: bytes) -> None:
    """Keys are gone from what `without_crypto` leaves."""
    for line in without_crypto(data).splitlines():
        letter, _, attribute = line.partition(b"=")
        is_attribute = letter.strip(b" \t").lower() == b"a"
        assert not (is_attribute and attribute.strip(b" \t").lower().startswith(b"crypto:"))
