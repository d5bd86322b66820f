"""Large requests over TCP to the very place that they were meant for over UDP (RFC 3261 18.1.1).

Where no connection can be had soon, the request goes over UDP after all, and the place is
remembered, so that the next large request pays no wait. An attempt that succeeds late is welcome:
it serves the requests that follow.
Refuses places that the owner does not want to connect to, and to know what a request says.
"""

from collections.abc import Callable, Coroutine
from typing import Final, Protocol, TypeVar

from sipis.clock import Alarm, Clock
from sipis.errors import TransportError
from sipis.sip.flow import Flow

Address = tuple[str, int]
T = TypeVar("T")

PATIENCE: Final = 2.0
"""Seconds that a large request waits for a connection: time for one SYN to be lost."""
SHUNNED_FOR: Final = 3600.0
"""Seconds for which a place that failed over TCP is spared further attempts."""
MOST_PLACES: Final = 4096


class Ways(Protocol):
    """Whoever has the connections and the requests; implemented by the endpoint."""

    def connected(self, flow: Flow) -> Flow | None:
        """A stream to the same place that is open already."""

    async def connect(self, flow: Flow) -> Flow:
        """A stream to the same place; TransportError when none can be had."""

    def detour(self, transaction: str, stream: Flow) -> None:
        """Send the request over the stream."""

    def insist(self, transaction: str) -> None:
        """Send the request over its own flow."""


class Places:
    """Where TCP is spoken and where it is not; time is an argument (monotonic seconds)."""

    def __init__(self) -> None:
        self._shunned_until: dict[Address, float] = {}
        self._spoke: dict[Address, None] = {}

    def spoke(self, place: Address) -> None:
        """A response came from here over TCP."""
        if place not in self._spoke:
            self._shunned_until.pop(place, None)
            _make_room(self._spoke)
            self._spoke[place] = None

    def forget(self, place: Address) -> None:
        """Whoever was here came from here by chance, and has gone."""
        self._spoke.pop(place, None)

    def failed(self, place: Address, now: float) -> None:
        """No connection could be had, or nobody answered over it.

        Forgiven once where somebody spoke before: servers close idle connections.
        """
        if place in self._spoke:
            del self._spoke[place]
            return
        self._shunned_until.pop(place, None)
        _make_room(self._shunned_until)
        self._shunned_until[place] = now + SHUNNED_FOR

    def accepted(self, place: Address) -> None:
        """A connection could be had after all."""
        self._shunned_until.pop(place, None)

    def shuns(self, place: Address, now: float) -> bool:
        """Whether the place is not to be tried now."""
        return self._shunned_until.get(place, now) > now


class Detours:
    """The large requests that wait for a connection, by the flow that they were meant for."""

    def __init__(
        self,
        clock: Clock,
        ways: Ways,
        *,
        wanted: Callable[[Flow], bool],
        spawn: Callable[[str, Coroutine[object, object, None]], bool],
    ) -> None:
        """`wanted` tells the flows beside which a connection may be opened."""
        self._clock = clock
        self._ways = ways
        self._wanted = wanted
        self._spawn = spawn
        self._places = Places()
        self._waiting: dict[Flow, list[str]] = {}
        self._alarms: dict[Flow, Alarm] = {}

    def seek(self, transaction: str, flow: Flow) -> None:
        """Find a way for a request that is too large for its flow."""
        if self._places.shuns(flow.remote, self._clock.monotonic()) or not self._wanted(flow):
            self._ways.insist(transaction)
        elif (stream := self._ways.connected(flow)) is not None:
            self._ways.detour(transaction, stream)
        elif flow in self._waiting:
            self._waiting[flow].append(transaction)
        else:
            self._await_connection(transaction, flow)

    def spoke(self, stream: Flow) -> None:
        """A response came over TCP."""
        self._places.spoke(stream.remote)

    def left(self, stream: Flow) -> None:
        """Who had connected to us has gone; nobody listens at the port that it came from."""
        self._places.forget(stream.remote)

    def failed(self, flow: Flow) -> None:
        """Nobody took, or answered, what was to go over a stream to where this flow leads."""
        self._places.failed(flow.remote, self._clock.monotonic())

    def stop(self) -> None:
        """Forget who waits."""
        for flow in tuple(self._waiting):
            self._done_waiting(flow)

    def _await_connection(self, transaction: str, flow: Flow) -> None:
        self._waiting[flow] = [transaction]
        due = self._clock.monotonic() + PATIENCE
        self._alarms[flow] = self._clock.call_at(due, lambda: self._give_up(flow))
        if not self._spawn("detour", self._connect(flow)):
            self._give_up(flow)

    async def _connect(self, flow: Flow) -> None:
        try:
            stream = await self._ways.connect(flow)
        except TransportError:
            self._give_up(flow)
            return
        self._places.accepted(flow.remote)
        for transaction in self._done_waiting(flow):
            self._ways.detour(transaction, stream)

    def _give_up(self, flow: Flow) -> None:
        self.failed(flow)
        for transaction in self._done_waiting(flow):
            self._ways.insist(transaction)

    def _done_waiting(self, flow: Flow) -> list[str]:
        alarm = self._alarms.pop(flow, None)
        if alarm is not None:
            alarm.cancel()
        return self._waiting.pop(flow, [])


def _make_room(table: dict[Address, T]) -> None:
    """The oldest entry makes room for a new one."""
    if len(table) >= MOST_PLACES:
        del table[next(iter(table))]
