"""The open connections: found by flow, shared by target, bounded by source and in all.

Refuses UDP: its flows need no connection and live in `udp`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from sipis.errors import TransportError
from sipis.sip.flow import Door, Flow, Transport
from sipis.transport.arrivals import ARRIVALS_PER_SOURCE, MOST_ARRIVALS
from sipis.transport.quota import Quota
from sipis.transport.receiver import Connection
from sipis.transport.targets import Target
from sipis.transport.throttle import USUAL_RATE, Rate


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may take from us."""

    connections: int = 20_000
    """Connections in all."""
    per_source: int = 256
    """Incoming connections of one source address, or of one /64 over IPv6."""
    arrivals: int = MOST_ARRIVALS
    """Incoming connections whose TLS handshake or upgrade is not done yet; they come on top."""
    arrivals_per_source: int = ARRIVALS_PER_SOURCE
    """Those of one source."""
    rate: Rate = USUAL_RATE
    """Messages of one source that we never wrote to."""
    unfinished: int = 64 * 1024 * 1024
    """Bytes of messages whose end has not come yet, over all connections; see streams.FREE."""


class FlowTable:
    """Every open connection by its flow."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.connections
        self._open: dict[Flow, Connection] = {}
        self._incoming = Quota(limits.per_source)
        self._per_kind: Counter[tuple[Door, Transport]] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._open.values()))

    def add(self, connection: Connection) -> bool:
        """Take a connection in; False when its source, or all together, have too many."""
        if len(self._open) >= self._most:
            return False
        if connection.incoming and not self._incoming.take(connection.flow.remote[0]):
            return False
        self._open[connection.flow] = connection
        self._per_kind[_kind(connection.flow)] += 1
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        if self._open.pop(connection.flow, None) is None:
            return
        self._per_kind[_kind(connection.flow)] -= 1
        if connection.incoming:
            self._incoming.give_back(connection.flow.remote[0])

    def get(self, flow: Flow) -> Connection | None:
        """The open connection of a flow."""
        return self._open.get(flow)

    def another(self, flow: Flow) -> Flow | None:
        """Another open one with the same host, of the same door and transport."""
        alike = (
            one.flow
            for one in self
            if _kind(one.flow) == _kind(flow) and one.flow.remote[0] == flow.remote[0]
        )
        return next((one for one in alike if one != flow), None)

    def alike(self, flow: Flow) -> int:
        """How many connections of the same door and transport are open."""
        return self._per_kind[_kind(flow)]


def _kind(flow: Flow) -> tuple[Door, Transport]:
    return flow.door, flow.transport


@dataclass(frozen=True, slots=True)
class Association:
    """Who may share a connection: those with the same target, door, share and provider."""

    target: Target
    door: Door
    share: str
    provider: str


class Pool:
    """Outgoing connections by what they are for; one attempt at a time, its outcome for all."""

    def __init__(self, connect: Callable[[Association], Awaitable[Flow]], table: FlowTable) -> None:
        self._connect = connect
        self._table = table
        self._flows: dict[Association, Flow] = {}
        self._attempts: dict[Association, asyncio.Future[Flow]] = {}

    async def flow(self, association: Association) -> Flow:
        """The open flow, or a new one; TransportError when none can be had."""
        flow = self.connected(association)
        if flow is not None:
            return flow
        attempt = self._attempts.get(association)
        if attempt is not None:
            return await asyncio.shield(attempt)
        return await self._open(association)

    def connected(self, association: Association) -> Flow | None:
        """The open flow; None when there is none yet."""
        flow = self._flows.get(association)
        return flow if flow is not None and self._table.get(flow) is not None else None

    def forget(self, flow: Flow) -> None:
        """The flow is gone; whoever needs one connects anew."""
        for association in [key for key, known in self._flows.items() if known == flow]:
            del self._flows[association]

    async def _open(self, association: Association) -> Flow:
        attempt: asyncio.Future[Flow] = asyncio.get_running_loop().create_future()
        self._attempts[association] = attempt
        try:
            flow = await self._connect(association)
        except BaseException as failure:
            shared = failure if isinstance(failure, TransportError) else _given_up()
            attempt.set_exception(shared)
            attempt.exception()  # nobody else may be waiting
            raise
        finally:
            del self._attempts[association]
        self._flows[association] = flow
        attempt.set_result(flow)
        return flow


def _given_up() -> TransportError:
    return TransportError("the connection attempt was given up")
