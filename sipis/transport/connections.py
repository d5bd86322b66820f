"""Everything that has to be connected: streams and WebSockets, in and out, and their end.

Refuses to keep a peer that is slow or silent: a sweep ends unfinished messages and idle flows.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from sipis.clock import Alarm, Clock
from sipis.errors import TransportError
from sipis.observe.supervisor import Supervisor
from sipis.sip.flow import Flow, Transport
from sipis.transport.acceptor import Acceptor, hand_over
from sipis.transport.arrivals import Arrivals, Welcome
from sipis.transport.flows import Association, FlowTable, Limits, Pool
from sipis.transport.networks import parse_address
from sipis.transport.receiver import Connection, Receiver
from sipis.transport.sockets import NEVER, bind_stream
from sipis.transport.streams import (
    Origin,
    PeerCheck,
    StreamConnection,
    Unfinished,
    connect_stream,
)
from sipis.transport.targets import Listener, Target
from sipis.transport.tls import TlsContexts, TlsPolicy, TlsSettings, verify_peer
from sipis.transport.websocket import WebSocketClient, WebSocketListener

CONNECT_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 2.0
"""Seconds that stop() gives to what is still unsent."""
IDLE_TIMEOUT: Final = 120.0
"""Seconds of silence after which a connection that nobody holds is closed."""
SWEEP_INTERVAL: Final = 2.0


class Connections:
    """The connected half of an endpoint."""

    def __init__(
        self,
        receiver: Receiver,
        numbers: Iterator[int],
        limits: Limits,
        tls: TlsSettings,
        *,
        clock: Clock,
        supervisor: Supervisor,
        held: Callable[[Flow], bool],
    ) -> None:
        """`numbers` gives each flow its id; `held` tells the flows that silence must not end."""
        self.tls = TlsContexts(tls)
        self._receiver = receiver
        self._numbers = numbers
        self._clock = clock
        self._supervisor = supervisor
        self._held = held
        self._table = FlowTable(limits)
        self._unfinished = Unfinished(limits.unfinished)
        self._pool = Pool(self._connect, self._table)
        self._arrivals = Arrivals(
            clock,
            supervisor.spawn,
            limits.arrivals,
            limits.arrivals_per_source,
            on_refused=receiver.refused,
        )
        self._acceptors: list[Acceptor] = []
        self._web_listeners: list[WebSocketListener] = []
        self._web_client = WebSocketClient(receiver)
        self._sweeper: Alarm | None = None
        self._emptied = asyncio.Event()
        self._closing = False

    def listen(self, listener: Listener) -> tuple[str, int]:
        """Open a listener; returns its address. ConfigError when it cannot be had."""
        context = self.tls.server() if listener.transport.secure else None
        bound = bind_stream(listener)
        host, port, *_ = bound.getsockname()
        acceptor = Acceptor(bound, self._welcome(listener, context), self._arrivals)
        self._acceptors.append(acceptor)
        acceptor.open()
        return host, port

    async def flow(self, association: Association) -> Flow:
        """The open flow of an association, or a new one; TransportError when none can be had."""
        return await self._pool.flow(association)

    def connected(self, association: Association) -> Flow | None:
        """The open flow of an association; None when there is none yet."""
        return self._pool.connected(association)

    def get(self, flow: Flow) -> Connection | None:
        """The open connection of a flow."""
        return self._table.get(flow)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send one message; TransportError when the connection is gone."""
        connection = self._table.get(flow)
        if connection is None:
            raise TransportError("connection closed")
        connection.send(data)

    def is_open(self, flow: Flow) -> bool:
        """Whether the connection is open."""
        return self._table.get(flow) is not None

    def last_received(self, flow: Flow) -> float:
        """When something last came over the flow; minus infinity once it is gone."""
        connection = self._table.get(flow)
        return connection.last_received if connection else NEVER

    def another(self, flow: Flow) -> Flow | None:
        """An open connection with the same host, of the same door and transport."""
        return self._table.another(flow)

    def alike(self, flow: Flow) -> int:
        """How many connections of the same door and transport are open."""
        return self._table.alike(flow)

    def admit(self, connection: Connection) -> bool:
        """Take a connection in; False when there are too many, or no more are wanted."""
        if self._closing or not self._table.add(connection):
            return False
        self._emptied.clear()
        self._sweep_later()
        return True

    def end(self, connection: Connection) -> None:
        """Close a connection; from now on nobody is given it, however long closing takes."""
        self._pool.forget(connection.flow)
        connection.close()

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._table.remove(connection)
        self._pool.forget(connection.flow)
        if not self._table:
            self._emptied.set()

    async def close(self) -> None:
        """Stop listening, then end every connection; what is unsent has a moment to leave."""
        self._closing = True
        for acceptor in self._acceptors:
            acceptor.close()
        self._arrivals.end_all()
        for connection in self._table:
            connection.close()
        await self._await_end()
        for site in self._web_listeners:
            await site.close()
        await self._web_client.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _await_end(self) -> None:
        if not self._table:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._emptied.wait()
        except TimeoutError:
            for connection in self._table:
                connection.abort()

    def _welcome(self, listener: Listener, context: ssl.SSLContext | None) -> Welcome:
        """How those who connect to a listener are brought in."""
        origin = partial(self._origin, listener)
        if listener.transport in (Transport.WS, Transport.WSS):
            site = WebSocketListener(self._receiver, origin, context)
            self._web_listeners.append(site)
            return site.welcome
        make = partial(self._accept, origin)
        return partial(hand_over, make=make, context=context)

    def _accept(self, origin: Callable[[], Origin]) -> StreamConnection:
        return StreamConnection(origin(), self._receiver, self._unfinished)

    def _origin(self, listener: Listener) -> Origin:
        return Origin(
            next(self._numbers),
            listener.door,
            listener.transport,
            incoming=True,
            listener=str(listener),
        )

    async def _connect(self, association: Association) -> Flow:
        target = association.target
        origin = Origin(next(self._numbers), association.door, target.transport, incoming=False)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await self._open(target, origin, self.tls.policy(association.provider))
        except TimeoutError:
            raise TransportError("the server does not answer") from None

    async def _open(self, target: Target, origin: Origin, policy: TlsPolicy) -> Flow:
        context = self.tls.client(policy) if target.transport.secure else None
        check: PeerCheck | None = None
        if context is not None:
            check = partial(verify_peer, domain=target.tls_name or target.host, policy=policy)
        name = _sni(target.tls_name)
        address = target.host, target.port
        if target.transport in (Transport.WS, Transport.WSS):
            return await self._open_web(address, name, origin, context, check)
        make = partial(StreamConnection, origin, self._receiver, self._unfinished, check)
        return await connect_stream(*address, make, context, name)

    async def _open_web(
        self,
        address: tuple[str, int],
        name: str,
        origin: Origin,
        context: ssl.SSLContext | None,
        check: PeerCheck | None,
    ) -> Flow:
        connection = await self._web_client.connect(address, name, origin, context, check)
        if not self._supervisor.spawn("websocket", connection.serve()):
            self._receiver.closed(connection)
            raise TransportError("too many connections")
        return connection.flow

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            due = self._clock.monotonic() + SWEEP_INTERVAL
            self._sweeper = self._clock.call_at(due, self._sweep)

    def _sweep(self) -> None:
        """End what is overdue or idle, and come back while there is anything to watch."""
        self._sweeper = None
        now = self._clock.monotonic()
        for connection in self._table:
            if connection.overdue(now):
                connection.abort()
            elif now - connection.last_received > IDLE_TIMEOUT and not self._held(connection.flow):
                self.end(connection)
        if self._table:
            self._sweep_later()


def _sni(name: str | None) -> str:
    """The name to show to a TLS server: addresses are never shown (RFC 6066 3)."""
    return name if name and parse_address(name) is None else ""
