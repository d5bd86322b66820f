"""The pump between sockets and the SIP core: bytes in, events out, one timer for everything.

After each batch of input the events are told, what is due is sent, and the single alarm is set to
the core's next deadline. Refuses to decide about SIP: what a request is answered is the handlers'
affair, and what leaves goes to addresses that the network policy has passed.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from sipis.clock import Clock
from sipis.errors import TransportError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.sip.events import (
    AckMissing,
    CancelReceived,
    DetourFailed,
    Event,
    FlowPong,
    Malformed,
    Overloaded,
    RequestReceived,
    ResponseReceived,
    TooLarge,
)
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.limits import LARGEST_REQUEST
from sipis.sip.message import Request, Response
from sipis.sip.stack import Stack
from sipis.transport.addresses import OwnAddresses
from sipis.transport.arrivals import Shortage
from sipis.transport.connections import Connections
from sipis.transport.detours import Detours
from sipis.transport.dispatch import Dispatch, RequestHandler, ResponseHandler
from sipis.transport.flows import Association, Limits
from sipis.transport.keepalive import NAT_BINDING, KeepAlive
from sipis.transport.networks import NetworkPolicy
from sipis.transport.pump import Pump
from sipis.transport.receiver import Connection
from sipis.transport.returns import Returns
from sipis.transport.strangers import Strangers
from sipis.transport.targets import BoundListener, Listener, Target, parse_advertised
from sipis.transport.tls import TlsSettings
from sipis.transport.udp import UdpSockets

TOKEN_BYTES: Final = 16

_log = structlog.get_logger("transport")

_PING: Final = b"\r\n\r\n"


class Endpoint:
    """All SIP sockets of a process, and the one stack behind them.

    Set `on_request` before start(); run() must be running from then on. `strangers` is told who is
    none, `connectable` tells those UDP flows whose peer may be connected to at its address.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        listeners: Sequence[Listener],
        policy: NetworkPolicy,
        entropy: Callable[[int], bytes],
        user_agent: str = "",
        tls: TlsSettings | None = None,
        advertise: str = "",
        learn_from_rport: bool = True,
        nat_binding: float = NAT_BINDING,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        instance_of: Callable[[Request], str] | None = None,
    ) -> None:
        """`entropy(n)` gives n random bytes; `nat_binding` is in seconds."""
        limits, metrics = limits or Limits(), metrics or Metrics()
        self.connectable: Callable[[Flow], bool] = _is_providers
        self.on_flow_closed: list[Callable[[Flow], None]] = []
        self.on_address_change: list[Callable[[Flow], None]] = []
        self.listening: list[BoundListener] = []
        self._clock = clock
        self._listeners = tuple(listeners)
        self._policy = policy
        self._user_agent = user_agent
        self._metrics = metrics
        self._addresses = OwnAddresses(parse_advertised(advertise), learn=learn_from_rport)
        self._supervisor = Supervisor("transport", clock, on_crash=metrics.crashed)
        numbers = itertools.count(1)
        self._udp = UdpSockets(self, numbers)
        self._keepalive = KeepAlive(
            clock,
            entropy,
            ping=self._ping,
            fail=self._give_up,
            heard=self.last_received,
            nat_binding=nat_binding,
        )
        self.strangers = Strangers(limits.rate, held=self._keepalive.holds, spend=self._udp.spend)
        self._dispatch = Dispatch(metrics)
        self._stack = Stack(
            token=lambda: entropy(TOKEN_BYTES).hex(),
            instance_of=instance_of,
            quiet=self.strangers.get_silence,
            largest_request=LARGEST_REQUEST,
        )
        self._connections = Connections(
            self,
            numbers,
            limits,
            tls or TlsSettings(),
            clock=clock,
            supervisor=self._supervisor,
            held=self._keepalive.holds,
        )
        spawn = self._supervisor.spawn
        self._returns = Returns(self, wanted=_is_providers, spawn=spawn)
        self._detours = Detours(clock, self, wanted=self._may_connect, spawn=spawn)
        self._pump = Pump(self._stack, clock, transmit=self._transmit, tell=self._tell)

    @property
    def on_request(self) -> dict[Door, RequestHandler]:
        """Who takes the requests of each door; to be filled by the owner."""
        return self._dispatch.on_request

    @property
    def transactions(self) -> int:
        """How many SIP transactions are in memory."""
        return self._stack.transactions

    async def start(self) -> None:
        """Open every listener, or none; ConfigError names the one that cannot be had."""
        try:
            for listener in self._listeners:
                self.listening.append(self._listen(listener))
        except BaseException:
            await self.stop()
            raise
        self._addresses.set_listening(self.listening)

    async def run(self) -> None:
        """Serve until stop() or cancellation."""
        await self._supervisor.run()

    async def stop(self) -> None:
        """Close everything; requests in flight are forgotten."""
        self._keepalive.stop()
        self._detours.stop()
        self._pump.stop()
        await self._connections.close()
        self._udp.close()
        self._supervisor.stop()

    def reload_certificates(self) -> None:
        """Use renewed certificate files for new connections; ConfigError leaves all as it was."""
        self._connections.tls.reload()

    async def flow_to(
        self,
        target: Target,
        *,
        door: Door = Door.PROVIDER,
        share: str = "",
        provider: str = "",
    ) -> Flow:
        """A flow to the target: on UDP at once, else an open connection or a new one.

        `share` names a local UDP source, or keeps connections of different shares apart. `provider`
        is the domain whose TLS policy applies, by default the name that the certificate must hold.
        Raises RefusedAddress, or TransportError when there is no way to the target.
        """
        self._policy.check(target.host, target.port)
        self.strangers.acquaint(target.host)
        if target.transport is Transport.UDP:
            return self._udp.flow_to(target.host, target.port, door, share)
        domain = provider or target.tls_name or ""
        return await self._connections.flow(Association(target, door, share, domain))

    def send(self, request: Request, flow: Flow, on_response: ResponseHandler) -> str:
        """Send a request under a Via of ours; returns the id of its transaction.

        `on_response` is called for every response, and once when time or flow ran out instead;
        never before send() has returned. A request that is too large for UDP goes over TCP to the
        same place where that can be had (RFC 3261 18.1.1): its responses name that flow.
        """
        now = self._clock.monotonic()
        if self._user_agent and "User-Agent" not in request.headers:
            request.headers.add("User-Agent", self._user_agent)
        host, port = self._addresses.contact(flow)
        transaction = self._stack.send_request(request, flow, now, via_host=host, via_port=port)
        self._dispatch.expect(transaction, on_response)
        self._pump.run(now)
        return transaction

    def ack(self, ack: Request, flow: Flow, invite: str) -> None:
        """Send the ACK to a 2xx of the INVITE transaction; repeats of the 2xx are ACKed again."""
        now = self._clock.monotonic()
        host, port = self._addresses.contact(flow)
        self._stack.send_ack(ack, flow, now, via_host=host, via_port=port, invite=invite)
        self._pump.run(now)

    def cancel(self, transaction: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Give up an INVITE of ours; its handler still gets the final response."""
        now = self._clock.monotonic()
        self._stack.cancel(transaction, now, headers=headers)
        self._pump.run(now)

    def respond(self, transaction: str, response: Response) -> None:
        """Answer a request; a late answer is dropped."""
        now = self._clock.monotonic()
        self._stack.respond(transaction, response, now)
        self._pump.run(now)

    def drop(self, transaction: str) -> None:
        """Forget a request without an answer."""
        self._stack.drop(transaction)
        self._dispatch.forget(transaction)

    def abandon(self, transaction: str) -> None:
        """Forget a request of ours; its handler is not called again."""
        self._stack.abandon(transaction)
        self._dispatch.forget(transaction)

    def contact_address(self, flow: Flow) -> tuple[str, int]:
        """Host and port to write into the Contact of what is sent over the flow."""
        return self._addresses.contact(flow)

    def is_open(self, flow: Flow) -> bool:
        """Whether something sent over the flow would leave."""
        return self._way(flow).is_open(flow)

    def last_received(self, flow: Flow) -> float:
        """When something last came over the flow, monotonic seconds; minus infinity for never."""
        return self._way(flow).last_received(flow)

    def hold(self, flow: Flow, seconds: float, flow_timer: float | None = None) -> None:
        """Keep a flow open and alive for that long: a binding depends on it.

        `flow_timer` is the server's Flow-Timer in seconds (RFC 5626 4.4).
        """
        self._keepalive.hold(flow, seconds, flow_timer)

    def forget_idle(self) -> None:
        """Let go of what is remembered of those who are silent: a flood leaves nothing behind."""
        now = self._clock.monotonic()
        self._udp.forget_silent(now)
        self.strangers.forget_rested(now)
        self._dispatch.forget_ended(self._stack.serves)

    def close(self, flow: Flow) -> None:
        """Close a connection; a UDP flow has nothing to close."""
        connection = self._connections.get(flow)
        if connection is not None:
            self._connections.end(connection)

    # What sockets call.

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    def receive(self, data: bytes, flow: Flow, now: float) -> bool:
        """Take in one message; False, and nothing taken, when its source sends too many."""
        try:
            if self.strangers.may_speak(flow, now):
                self._stack.receive(data, flow, now)
                return True
        except Exception as crash:  # a bug of ours must not cost the socket
            self._dispatch.crashed(crash)
            return True
        self._metrics.count("sources_limited_total", door=flow.door.value)
        return False

    def take_again(self, data: bytes, flow: Flow) -> None:
        """Take in a request that an earlier process had not answered when it ended."""
        now = self._clock.monotonic()
        self._stack.receive(data, flow, now)
        self._pump.run(now)

    def settle(self, now: float) -> None:
        """Tell what happened and send what is due."""
        self._pump.run(now)

    def refused(self, short: Shortage) -> None:
        """Count a connection that was ended before it was through."""
        self._metrics.count("arrivals_refused_total", entrance="sip", short=short)

    def opened(self, connection: Connection) -> bool:
        """Admit a connection unless there are too many."""
        admitted = self._connections.admit(connection)
        self._show_flows(connection.flow)
        return admitted

    def broken(self, flow: Flow, problem: str) -> None:
        """Count a message that broke the rules."""
        _log.debug("malformed", door=flow.door.value, problem=problem)
        self._metrics.count("malformed_total", door=flow.door.value)

    def closed(self, connection: Connection) -> None:
        """Fail what was sent over a connection that is gone, and tell who cares."""
        flow = connection.flow
        self._connections.remove(connection)
        self._show_flows(flow)
        self._keepalive.forget(flow)
        self._addresses.forget(flow)
        if connection.incoming:
            self._detours.left(flow)
        self._stack.flow_closed(flow, self._clock.monotonic())
        for listener in self.on_flow_closed:
            self._dispatch.guard(partial(listener, flow))
        self._pump.run(self._clock.monotonic())

    # What detours call.

    def connected(self, flow: Flow) -> Flow | None:
        """An open TCP flow to where this UDP flow leads."""
        return self._connections.connected(_beside(flow))

    async def connect(self, flow: Flow) -> Flow:
        """A TCP flow to where this UDP flow leads; TransportError when none can be had."""
        self.strangers.acquaint(flow.remote[0])
        return await self._connections.flow(_beside(flow))

    def detour(self, transaction: str, stream: Flow) -> None:
        """Send a request that was too large over a stream."""
        now = self._clock.monotonic()
        host, port = self._addresses.contact(stream)
        self._stack.detour(transaction, stream, now, via_host=host, via_port=port)
        self._pump.run(now)

    def insist(self, transaction: str) -> None:
        """Send a request that is too large over UDP nevertheless."""
        now = self._clock.monotonic()
        self._stack.insist(transaction, now)
        self._pump.run(now)

    # What returns call.

    def another(self, flow: Flow) -> Flow | None:
        """An open connection with the same host, of the same door and transport."""
        return self._connections.another(flow)

    async def connect_to(self, flow: Flow, port: int) -> Flow:
        """A connection to the flow's host at another port; TransportError when none can be had."""
        return await self.flow_to(Target(flow.transport, flow.remote[0], port), door=flow.door)

    def send_over(self, data: bytes, flow: Flow) -> None:
        """Write to an open connection; TransportError when it is gone."""
        self._connections.send(data, flow)

    # What the pump calls.

    def _transmit(self, data: bytes, flow: Flow) -> None:
        if self.strangers.would_gain(len(data), flow):
            self._metrics.count("foreign_requests_total", door=flow.door.value)
            return
        try:
            self._way(flow).send(data, flow)
        except TransportError:
            self._pump.report_lost(flow)
            if flow.transport.reliable:
                self._returns.bring(data, flow)

    def _way(self, flow: Flow) -> UdpSockets | Connections:
        return self._udp if flow.transport is Transport.UDP else self._connections

    def _tell(self, event: Event, now: float) -> None:
        match event:
            case ResponseReceived():
                self._learn(event, now)
                self._dispatch.response(event, now)
            case RequestReceived() | CancelReceived():
                self._dispatch.request(event)
            case AckMissing():
                self._dispatch.ack_missing(event)
            case TooLarge():
                self._detours.seek(event.transaction, event.flow)
            case DetourFailed():
                self._detours.failed(event.flow)
            case FlowPong():
                self._keepalive.pong(event.flow)
            case Malformed():
                self.broken(event.flow, event.problem)
            case Overloaded():
                self._metrics.count("sources_limited_total", door=event.flow.door.value)
            case _:
                self._dispatch.failure(event)

    def _learn(self, event: ResponseReceived, now: float) -> None:
        """Take from a response what concerns the flow: our address, and that TCP is spoken."""
        if self._addresses.learn(event.flow, event.response, now):
            for listener in self.on_address_change:
                self._dispatch.guard(partial(listener, event.flow))
        if event.flow.transport is Transport.TCP:
            self._detours.spoke(event.flow)

    def _ping(self, flow: Flow) -> None:
        """Send a keep-alive; over a connection that a peer opened that is the peer's affair."""
        connection = self._connections.get(flow)
        if connection is None or not connection.incoming:
            self._transmit(_PING, flow)

    def _show_flows(self, flow: Flow) -> None:
        number = self._connections.alike(flow)
        self._metrics.gauge("flows", number, door=flow.door.value, transport=flow.transport.value)

    def _give_up(self, flow: Flow) -> None:
        connection = self._connections.get(flow)
        if connection is not None:
            connection.abort()

    def _may_connect(self, flow: Flow) -> bool:
        return self.connectable(flow) and self._policy.permits(*flow.remote)

    def _listen(self, listener: Listener) -> BoundListener:
        if listener.transport is Transport.UDP:
            host, port = self._udp.listen(listener).local
        else:
            host, port = self._connections.listen(listener)
        return BoundListener(listener.door, listener.transport, host, port)


def _is_providers(flow: Flow) -> bool:
    return flow.door is Door.PROVIDER


def _beside(flow: Flow) -> Association:
    """TCP to where a UDP flow leads; what has a local source of its own shares no connection."""
    share = "" if flow.listener else f"source-{flow.id}"
    return Association(Target(Transport.TCP, *flow.remote), flow.door, share, "")
