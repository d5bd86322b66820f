"""TCP and TLS connections: bytes into messages, with time limits for slow and silent peers.

Refuses asyncio's stream objects: a protocol costs less for each connection and each message.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from sipis.errors import RemoteProtocolError, TransportError, UntrustedPeer
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.framing import Keepalive, StreamFramer
from sipis.transport.acceptor import SHUTDOWN_TIMEOUT
from sipis.transport.receiver import Receiver

HANDSHAKE_TIMEOUT: Final = 10.0
MESSAGE_TIMEOUT: Final = 10.0
"""Seconds in which a message once begun, and the first one at all, must be complete."""
MOST_UNSENT: Final = 1024 * 1024
"""Bytes that wait for a slow reader before it is cut off."""
PIECE: Final = 8 * 1024
"""Bytes that are cut into messages at a time."""
FREE: Final = 4 * 1024
"""Bytes of an unfinished message that every connection may hold, however much the others do."""

_FRAMES: Final = {Keepalive.PING: b"\r\n\r\n", Keepalive.PONG: b"\r\n"}

_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""A peer that vanished without a word is noticed by the kernel, with or without SIP keep-alive."""

PeerCheck = Callable[[ssl.SSLObject], None]
"""Raises TransportError for a server that is not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a connection is known by before it exists."""

    number: int
    door: Door
    transport: Transport
    incoming: bool
    listener: str = ""


class Unfinished:
    """The messages whose end has not come yet, of all connections together, in bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def change(self, before: int, now: int) -> bool:
        """Note that a connection holds another amount; False when that is more than it may."""
        self.held += now - before
        return now <= FREE or self.held <= self._most


class StreamConnection(asyncio.Protocol):
    """One TCP or TLS connection: one flow."""

    flow: Flow

    def __init__(
        self,
        origin: Origin,
        receiver: Receiver,
        unfinished: Unfinished,
        check: PeerCheck | None = None,
    ) -> None:
        self.incoming = origin.incoming
        self.last_received = receiver.now()
        self.refused: TransportError | None = None
        self._origin = origin
        self._receiver = receiver
        self._check = check
        self._framer = StreamFramer()
        self._unfinished = unfinished
        self._held = 0
        self._transport: asyncio.Transport | None = None
        self._unfinished_since: float | None = self.last_received if origin.incoming else None
        self.admitted = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Name the flow, check who the peer is, and ask for admission."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = stream = cast("asyncio.Transport", transport)
        try:
            self._name_flow(stream)
            if self._check is not None:
                self._check(stream.get_extra_info("ssl_object"))
        except TransportError as refused:
            self.refused = refused
        else:
            self.admitted = self._receiver.opened(self)
        if not self.admitted:
            stream.abort()

    def data_received(self, data: bytes) -> None:
        """Hand every message that is complete to the receiver.

        Of a large read no more is looked at than is needed to find that the peer sends too much.
        """
        self.last_received = now = self._receiver.now()
        for start in range(0, len(data), PIECE):
            if not self.admitted or self._ended:
                return
            self._take(data[start : start + PIECE], now)

    def _take(self, piece: bytes, now: float) -> None:
        try:
            frames = self._framer.feed(piece)
        except RemoteProtocolError as problem:
            self._break(str(problem))
            return
        if not self._hand_over(frames, now):
            self.close()
        self._note_progress(now, whole=bool(frames))
        if self._framer.broken:
            self._break("stream cannot be cut into messages")
        elif not self._hold(self._framer.held):
            self._break("too many unfinished messages")
        self._receiver.settle(now)

    def _hand_over(self, frames: Sequence[bytes | Keepalive], now: float) -> bool:
        """Tell the messages, and each keep-alive once; False when the peer sends too many."""
        heard: set[Keepalive] = set()
        for frame in frames:
            if isinstance(frame, Keepalive):
                if frame in heard:
                    continue
                heard.add(frame)
            message = frame if isinstance(frame, bytes) else _FRAMES[frame]
            if not self._receiver.receive(message, self.flow, now):
                return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Tell that the flow is gone."""
        self._hold(0)
        if self.admitted:
            self.admitted = False
            self._receiver.closed(self)

    def send(self, data: bytes) -> None:
        """Write one message; a peer that takes too little is cut off."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self.abort()

    def close(self) -> None:
        """Send what waits, then close."""
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float) -> bool:
        """Whether a message, or the first one, is still incomplete after its time."""
        since = self._unfinished_since
        return since is not None and now - since > MESSAGE_TIMEOUT

    def _hold(self, size: int) -> bool:
        """Note how much of an unfinished message is held; False when it must not be as much."""
        allowed = self._unfinished.change(self._held, size)
        self._held = size
        return allowed

    def _note_progress(self, now: float, *, whole: bool) -> None:
        """The clock of an unfinished message runs from its first byte, not from its last."""
        if not self._framer.pending:
            self._unfinished_since = None if whole else self._unfinished_since
        elif whole or self._unfinished_since is None:
            self._unfinished_since = now

    def _break(self, problem: str) -> None:
        self._receiver.broken(self.flow, problem)
        self.close()

    def _name_flow(self, transport: asyncio.Transport) -> None:
        tcp = transport.get_extra_info("socket")
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if not local or not remote:  # gone before it was accepted
            raise TransportError("connection lost")
        for level, option, value in _KEEPALIVE:
            tcp.setsockopt(level, option, value)
        self.flow = Flow(
            self._origin.number,
            self._origin.door,
            self._origin.transport,
            (local[0], local[1]),
            (remote[0].partition("%")[0], remote[1]),
            self._origin.listener,
        )


async def connect_stream(
    host: str,
    port: int,
    make: Callable[[], StreamConnection],
    context: ssl.SSLContext | None,
    sni: str,
) -> Flow:
    """Open a connection to an IP literal; TransportError for whatever goes wrong.

    `sni` is the name shown to a TLS server, empty for none. Returns only when make()'s connection
    was admitted and its peer checked.
    """
    try:
        _, connection = await asyncio.get_running_loop().create_connection(
            make,
            host,
            port,
            ssl=context,
            server_hostname=sni if context else None,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT if context else None,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT if context else None,
        )
    except ssl.SSLCertVerificationError:
        raise UntrustedPeer("the certificate of the server is not trusted") from None
    except (OSError, ssl.SSLError):
        raise TransportError("connection refused or lost") from None
    if not connection.admitted:
        raise connection.refused or TransportError("too many connections")
    return connection.flow
