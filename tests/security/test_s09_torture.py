"""S9: torture messages, whole and maimed, through both doors of a live server: nothing breaks.

What each message of RFC 4475 and RFC 5118 is owed is said section by section in
tests/unit/sip/test_torture.py and tests/unit/relay/test_torture.py; the fuzzer of tests/fuzz looks
for more. Here the same messages, and seeded mutations of them, go through sockets into everything
that stands behind them: from strangers, and from the provider's address, which is believed.
"""

import asyncio
import io
import itertools
import random
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sipis.sip import limits
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived
from sipis.sip.flow import Door, Transport
from sipis.sip.message import Request
from tests.scenarios.conftest import Town
from tests.support.logs import kept_log
from tests.support.raw import Raw, door_of

pytestmark = pytest.mark.timeout(60)

DATA = Path(__file__).parents[1] / "data"
TORTURE = tuple(
    path.read_bytes() for name in ("rfc4475", "rfc5118") for path in sorted((DATA / name).iterdir())
)
ROUNDS = 1_500
STREAMS = 150
EACH = 10
"""Messages of one source; a stranger who sends many would not even be read."""
LARGEST = 60 * 1024
"""Bytes that a datagram of this machine can have, about."""
WORDS = (b"\r\n", b"\r\n ", b"\0", b"%00", b'"', b"<", b">", b";", b",", b"@", b"sip:", b"SIP/2.0",
         b"Content-Length: 99999999\r\n", b"Via: ", b"CSeq: 4294967296 INVITE\r\n", b"\xff",
         b"Max-Forwards: 0\r\n", b"Require: x\r\n", b"=", b"[::1]", b"INVITE", b"BYE")  # fmt: skip


class Mutator:
    """Maims messages, the same way for the same seed."""

    def __init__(self, seed: str, names: list[bytes]) -> None:
        self._chance = random.Random(zlib.crc32(seed.encode()))
        self._names = names

    def message(self) -> bytes:
        """A message of the archives, often addressed to somebody who is here, then maimed."""
        data = self._chance.choice(TORTURE)
        if self._chance.random() < 0.5:
            line, rest = data.split(b"\r\n", 1)
            words = line.split(b" ")
            data = b" ".join([words[0], self._chance.choice(self._names), words[-1]])
            data += b"\r\n" + rest
        for _ in range(self._chance.randrange(4)):
            data = self._maimed(data)
        return data

    def _maimed(self, data: bytes) -> bytes:
        start, end = sorted(self._chance.randrange(len(data) + 1) for _ in range(2))
        word = self._chance.choice(WORDS)
        return self._chance.choice([
            data[:start] + word + data[start:],
            data[:start] + data[end:] or b"\r\n",
            data[:start] + word * self._chance.choice([1, 70, 5000]) + data[end:],
            data[:end] + data[start:],
            data[:start] + self._chance.randbytes(3) + data[start + 3 :],
        ])  # fmt: skip


Event = RequestReceived | CancelReceived | AckMissing
RECEIVED = len(";received=127.0.0.1;rport=65535")
"""What is written into the topmost Via of a request before it is handed on."""


class Watch:
    """Stands before the handlers of a door and looks at the size of what they are given."""

    def __init__(self, town: Town) -> None:
        assert town.server is not None
        self.seen = 0
        self.oversize: list[str] = []
        handlers = town.server._ground.endpoint.on_request
        for door, handler in list(handlers.items()):
            handlers[door] = partial(self.look, handler)

    def look(self, handler: Callable[[Event], None], event: Event) -> None:
        if not isinstance(event, AckMissing):
            self.seen += 1
            stream = event.flow.transport.reliable
            most = limits.MAX_STREAM_MESSAGE if stream else limits.MAX_DATAGRAM
            if not within_limits(event.request, most):
                self.oversize.append(event.request.method)
        handler(event)


def within_limits(request: Request, most: int) -> bool:
    lines = request.headers.lines()
    return (
        len(request.to_bytes()) <= most + RECEIVED
        and len(lines) <= limits.MAX_HEADERS
        and all(len(line) <= limits.MAX_HEADER_LINE + RECEIVED for line in lines)
    )


@pytest.fixture
def log() -> io.StringIO:
    return kept_log("warning")


async def besieged(town: Town, seed: str) -> tuple[Watch, Mutator]:
    """A server with both doors on UDP and TCP, a phone, and somebody who knows its names."""
    await town.serve(sip={"app_listeners": ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]})
    phone = await town.asleep()
    [binding] = town.provider.registrar.bindings("alice")
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    names = [str(binding.contact.uri), f"sip:{relay['username']}@sipis", "sip:alice@x"]
    return Watch(town), Mutator(seed, [name.encode() for name in names])


async def still_works(town: Town, log: io.StringIO, watch: Watch) -> None:
    """The server lives, nothing crashed in it, and it puts the call of a new phone through."""
    assert (await town.provider.options("alice")).status == 200
    caller, _ = await town.talk(await town.asleep("bob"), "bob")
    assert (await caller.bye()).status == 200
    assert '"error"' not in log.getvalue()
    assert watch.seen > 0
    assert watch.oversize == []


def sources(host: str) -> Iterator[str]:
    """The provider's address for ever, or another stranger's each time."""
    return (host.replace("*", str(number % 250 + 2)) for number in itertools.count())


@pytest.mark.parametrize("host", ["127.0.3.*", "127.0.0.1"])
async def test_maimed_torture_messages_over_udp_break_nothing(
    empty_town: Town, log: io.StringIO, host: str
) -> None:
    watch, mutator = await besieged(empty_town, host)
    assert empty_town.server is not None
    doors = [door_of(empty_town.server, door) for door in Door]
    said = itertools.chain(TORTURE, TORTURE, (mutator.message() for _ in range(ROUNDS)))
    hosts = sources(host)
    while some := list(itertools.islice(said, EACH)):
        with Raw(next(hosts)) as sender:
            for data, door in itertools.product(some, doors):
                sender.send(data[:LARGEST], door)
            await asyncio.sleep(0)
    await still_works(empty_town, log, watch)


@pytest.mark.parametrize("host", ["127.0.4.*", "127.0.0.1"])
async def test_maimed_torture_messages_over_connections_break_nothing(
    empty_town: Town, log: io.StringIO, host: str
) -> None:
    watch, mutator = await besieged(empty_town, host)
    assert empty_town.server is not None
    doors = [door_of(empty_town.server, door, Transport.TCP) for door in Door]
    for own, door in itertools.islice(zip(sources(host), itertools.cycle(doors)), STREAMS):
        _, writer = await asyncio.open_connection(*door, local_addr=(own, 0))
        writer.writelines(mutator.message() for _ in range(EACH))
        writer.write(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    await still_works(empty_town, log, watch)
