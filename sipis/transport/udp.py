"""UDP sockets: the listeners of both doors, and further local sources made when they are asked for.

A readiness callback reads several datagrams at a wake-up and writes without a queue. asyncio's own
datagram transport would allocate 256 KiB for each datagram and close the shared socket when it is
given a port above 65535; uvloop's would truncate that port.
Refuses host names: every address here is a literal. What the kernel cannot take is dropped, as on
the wire; SIP repeats it.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Final

from sipis.errors import TransportError
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.limits import MAX_DATAGRAM
from sipis.transport.receiver import Receiver
from sipis.transport.sockets import NEVER, bind_datagram, family_of, open_socket
from sipis.transport.targets import Listener

BATCH: Final = 32
"""Datagrams read at one wake-up, so that no socket starves the rest of the loop."""
MOST_PEERS: Final = 8192
"""Remote addresses remembered by one socket."""
PEERS_KEPT: Final = 45.0
"""Seconds of silence after which a remote address is forgotten. Whoever asks when something last
came wants to know about the last half minute."""
MOST_SOURCES: Final = 4096
"""Local sources besides the listeners: each holds a file descriptor and a port."""
LAST_PORT: Final = 65_535

_WILDCARD: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - by request only
_DROPPED: Final = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.ECONNREFUSED})
"""Errors of one datagram that say nothing about the way to its target."""


class Peer:
    """A remote address of one socket: its flow, when it was last heard, what it may be answered.

    `allowance` is what is left of the size of its last datagram, in bytes.
    """

    __slots__ = ("allowance", "flow", "last_received")

    def __init__(self, flow: Flow, last_received: float) -> None:
        self.allowance = 0
        self.flow = flow
        self.last_received = last_received


class UdpSocket:
    """One bound socket; its flows share its id and differ in their remote address."""

    def __init__(
        self, bound: socket.socket, number: int, door: Door, receiver: Receiver, listener: str = ""
    ) -> None:
        self._socket = bound
        self._number = number
        self._door = door
        self._receiver = receiver
        self._listener = listener
        self._peers: dict[tuple[str, int], Peer] = {}
        host, port, *_ = bound.getsockname()
        self.local: tuple[str, int] = (host, port)
        asyncio.get_running_loop().add_reader(bound.fileno(), self._read_batch)

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return self._socket.family

    def flow_to(self, host: str, port: int) -> Flow:
        """The flow to a remote address; making it sends nothing."""
        return self._peer((host, port)).flow

    def last_received(self, flow: Flow) -> float:
        """When something last came over the flow, monotonic seconds; minus infinity for never."""
        peer = self._peers.get(flow.remote)
        return peer.last_received if peer else NEVER

    def spend(self, size: int, remote: tuple[str, int]) -> bool:
        """Take bytes from the allowance of a remote address; False when it is too small."""
        peer = self._peers.get(remote)
        if peer is None or peer.allowance < size:
            return False
        peer.allowance -= size
        return True

    def send(self, data: bytes, remote: tuple[str, int]) -> None:
        """Send one datagram or drop it; TransportError when the target cannot be reached at all."""
        if not 0 < remote[1] <= LAST_PORT:
            raise TransportError("port outside 1-65535")
        try:
            self._socket.sendto(data, remote)
        except BlockingIOError:
            return
        except OSError as failed:
            if failed.errno not in _DROPPED:
                raise TransportError(errno.errorcode.get(failed.errno or 0, "unsent")) from None

    def forget_silent(self, now: float) -> None:
        """Let go of the remote addresses that were not heard of late; their flows stay equal.

        What is left moves to a new table: one that was large stays so whatever is taken out.
        """
        since = now - PEERS_KEPT
        left = {remote: it for remote, it in self._peers.items() if it.last_received > since}
        if len(left) < len(self._peers):
            self._peers = left

    def close(self) -> None:
        """Give the port back."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _read_batch(self) -> None:
        now = self._receiver.now()
        for _ in range(BATCH):
            try:
                data, address = self._socket.recvfrom(MAX_DATAGRAM + 1)
            except BlockingIOError:
                break
            except OSError:  # an ICMP error about something sent before
                continue
            peer = self._peer(address if len(address) == 2 else address[:2])
            peer.last_received = now
            peer.allowance = len(data)
            self._receiver.receive(data, peer.flow, now)
        self._receiver.settle(now)

    def _peer(self, remote: tuple[str, int]) -> Peer:
        peer = self._peers.get(remote)
        if peer is None:
            if len(self._peers) >= MOST_PEERS:
                self._peers.pop(next(iter(self._peers)))
            flow = Flow(self._number, self._door, Transport.UDP, self.local, remote, self._listener)
            self._peers[remote] = peer = Peer(flow, NEVER)
        return peer


class UdpSockets:
    """All UDP sockets of the process by number, by listener and by source."""

    def __init__(self, receiver: Receiver, numbers: Iterable[int]) -> None:
        self._receiver = receiver
        self._numbers = iter(numbers)
        self._sockets: dict[int, UdpSocket] = {}
        self._sources: dict[tuple[Door, socket.AddressFamily, str], UdpSocket] = {}

    def listen(self, listener: Listener) -> UdpSocket:
        """Open a listener; the first of its door and family is the door's shared source."""
        bound = bind_datagram(listener)
        opened = self._open(bound, listener.door, str(listener))
        self._sources.setdefault((listener.door, opened.family, ""), opened)
        return opened

    def flow_to(self, host: str, port: int, door: Door, share: str) -> Flow:
        """The flow to a target from a local source; TransportError when there are too many."""
        family = family_of(host)
        source = self._sources.get((door, family, share)) or self._add_source(door, family, share)
        return source.flow_to(host, port)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send one datagram; TransportError when its target cannot be reached."""
        opened = self._sockets.get(flow.id)
        if opened is None:
            raise TransportError("socket closed")
        opened.send(data, flow.remote)

    def spend(self, size: int, flow: Flow) -> bool:
        """Whether the flow's last datagram was large enough for so many bytes of answer.

        What is spent is gone, and what is left is lost with the next datagram: a forged source
        never gets more than was sent in its name.
        """
        opened = self._sockets.get(flow.id)
        return opened is not None and opened.spend(size, flow.remote)

    def is_open(self, flow: Flow) -> bool:
        """Whether the socket of the flow is open."""
        return flow.id in self._sockets

    def last_received(self, flow: Flow) -> float:
        """When something last came over the flow; minus infinity for never."""
        opened = self._sockets.get(flow.id)
        return opened.last_received(flow) if opened else NEVER

    def forget_silent(self, now: float) -> None:
        """Let go of the remote addresses from which nothing came of late."""
        for opened in self._sockets.values():
            opened.forget_silent(now)

    def close(self) -> None:
        """Close them all."""
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()
        self._sources.clear()

    def _add_source(self, door: Door, family: socket.AddressFamily, share: str) -> UdpSocket:
        """A further source on the address of the door's listener, on any free port."""
        if len(self._sources) >= MOST_SOURCES:
            raise TransportError("no further local source")
        shared = self._sources.get((door, family, ""))
        host = shared.local[0] if shared else _WILDCARD[family]
        try:
            bound = open_socket(family, socket.SOCK_DGRAM, host, 0)
        except OSError as failed:
            raise TransportError(errno.errorcode.get(failed.errno or 0, "no source")) from None
        self._sources[(door, family, share)] = source = self._open(bound, door, "")
        return source

    def _open(self, bound: socket.socket, door: Door, listener: str) -> UdpSocket:
        number = next(self._numbers)
        opened = UdpSocket(bound, number, door, self._receiver, listener)
        self._sockets[number] = opened
        return opened
