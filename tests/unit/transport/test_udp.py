"""UDP sockets below the endpoint: bounds, odd datagrams, local sources."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from sipis.errors import TransportError
from sipis.sip.flow import Door, Flow
from sipis.sip.limits import MAX_DATAGRAM
from sipis.transport import udp
from sipis.transport.arrivals import Shortage
from sipis.transport.receiver import Connection
from sipis.transport.sockets import NEVER
from sipis.transport.targets import Listener
from sipis.transport.udp import BATCH, MOST_PEERS, PEERS_KEPT, UdpSocket, UdpSockets
from tests.support.transport import PATIENCE


@dataclass
class Ear:
    """A receiver that notes datagrams and the ends of batches."""

    heard: list[tuple[bytes, Flow]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> float:
        return 7.0

    def receive(self, data: bytes, flow: Flow, now: float) -> bool:
        self.heard.append((data, flow))
        return True

    def settle(self, now: float) -> None:
        self.batches.append(len(self.heard))
        self.settled.set()

    def refused(self, short: Shortage) -> None:
        raise AssertionError("there are no connections here")

    def opened(self, connection: Connection) -> bool:
        raise AssertionError("there are no connections here")

    def broken(self, flow: Flow, problem: str) -> None:
        raise AssertionError("there are no streams here")

    def closed(self, connection: Connection) -> None:
        raise AssertionError("there are no connections here")

    async def hear(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self.settled.clear()
                await self.settled.wait()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def sockets(ear: Ear) -> AsyncIterator[UdpSockets]:
    opened = UdpSockets(ear, itertools.count(1))
    yield opened
    opened.close()


def listen(sockets: UdpSockets, text: str = "udp:127.0.0.1:0") -> UdpSocket:
    return sockets.listen(Listener.parse(text, Door.PROVIDER))


async def test_a_flow_is_the_same_for_sending_and_receiving(
    sockets: UdpSockets, ear: Ear, peer: socket.socket
) -> None:
    opened = listen(sockets)
    flow = opened.flow_to(*peer.getsockname())
    peer.sendto(b"hello", opened.local)
    await ear.hear(1)
    assert ear.heard == [(b"hello", flow)]
    assert sockets.last_received(flow) == 7.0


async def test_datagrams_that_wait_are_read_in_batches(
    sockets: UdpSockets, ear: Ear, peer: socket.socket
) -> None:
    opened = listen(sockets)
    for number in range(BATCH + 8):
        peer.sendto(bytes([number]), opened.local)
    await ear.hear(BATCH + 8)
    assert ear.batches == [BATCH, BATCH + 8]


async def test_an_oversized_datagram_arrives_longer_than_the_limit_allows(
    sockets: UdpSockets, ear: Ear, peer: socket.socket
) -> None:
    opened = listen(sockets)
    peer.sendto(b"x" * (MAX_DATAGRAM + 100), opened.local)
    await ear.hear(1)
    assert len(ear.heard[0][0]) == MAX_DATAGRAM + 1


@pytest.mark.parametrize("port", [0, 65_536, 70_000, -1])
async def test_a_port_that_is_none_costs_the_datagram_and_not_the_socket(
    sockets: UdpSockets, peer: socket.socket, port: int
) -> None:
    opened = listen(sockets)
    with pytest.raises(TransportError):
        sockets.send(b"lost", opened.flow_to("127.0.0.1", port))
    sockets.send(b"arrives", opened.flow_to(*peer.getsockname()))
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.get_running_loop().sock_recv(peer, 10) == b"arrives"


async def test_a_datagram_that_no_packet_can_hold_fails_alone(
    sockets: UdpSockets, peer: socket.socket
) -> None:
    flow = listen(sockets).flow_to(*peer.getsockname())
    with pytest.raises(TransportError, match="EMSGSIZE"):
        sockets.send(b"x" * 70_000, flow)
    sockets.send(b"", flow)
    assert sockets.is_open(flow)


async def test_strangers_push_each_other_out_and_a_flow_keeps_its_name(
    sockets: UdpSockets,
) -> None:
    opened = listen(sockets)
    ours = opened.flow_to("127.0.0.9", 5060)
    for port in range(1, MOST_PEERS + 10):
        opened.flow_to("127.0.0.8", port)
    assert len(opened._peers) == MOST_PEERS
    assert opened.flow_to("127.0.0.9", 5060) == ours


async def test_who_is_silent_is_forgotten_and_their_flow_keeps_its_name(
    sockets: UdpSockets,
) -> None:
    opened = listen(sockets)
    heard, silent = (opened.flow_to("127.0.0.9", port) for port in (5060, 5062))
    opened._peers[heard.remote].last_received = 10.0
    opened._peers[silent.remote].last_received = 0.0
    sockets.forget_silent(PEERS_KEPT + 5.0)
    assert list(opened._peers) == [heard.remote]
    assert sockets.last_received(heard) == 10.0
    assert sockets.last_received(silent) == NEVER
    assert opened.flow_to("127.0.0.9", 5062) == silent


async def test_the_first_listener_of_a_family_is_its_shared_source(sockets: UdpSockets) -> None:
    first, second = listen(sockets), listen(sockets, "udp:[::1]:0")
    assert sockets.flow_to("127.0.0.9", 5060, Door.PROVIDER, "").local == first.local
    assert sockets.flow_to("::1", 5060, Door.PROVIDER, "").local == second.local
    assert sockets.flow_to("127.0.0.9", 5060, Door.APP, "").local != first.local


async def test_sources_are_bounded(sockets: UdpSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "MOST_SOURCES", 3)
    listen(sockets)
    for share in ("a", "b"):
        sockets.flow_to("127.0.0.9", 5060, Door.PROVIDER, share)
    with pytest.raises(TransportError):
        sockets.flow_to("127.0.0.9", 5060, Door.PROVIDER, "c")
    assert sockets.flow_to("127.0.0.9", 5060, Door.PROVIDER, "b")


async def test_a_closed_socket_sends_nothing(sockets: UdpSockets) -> None:
    flow = listen(sockets).flow_to("127.0.0.9", 5060)
    sockets.close()
    assert not sockets.is_open(flow)
    assert sockets.last_received(flow) == float("-inf")
    with pytest.raises(TransportError):
        sockets.send(b"x", flow)
