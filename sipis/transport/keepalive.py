"""Keep-alive for each flow in use, never for each phone: one alarm for all of them.

On streams a double CRLF every 95-120 s (RFC 5626 4.4.1), or what the server's Flow-Timer asks for;
on UDP a CRLF pair often enough for the NAT binding to live. A stream is failed when a pong is
missing 10 s after the ping, but only if the server ever sent one: those that never promised to are
left to the kernel (RFC 5626 4.4). Refuses to know sockets: it is told what to call.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sipis.clock import Alarm, Clock
from sipis.sip.flow import Flow

PONG_TIMEOUT: Final = 10.0
STREAM_INTERVAL: Final = (95.0, 120.0)
FLOW_TIMER_SHARE: Final = (0.8, 1.0)
NAT_SHARE: Final = (25 / 30, 29 / 30)
"""Of the NAT binding's life: 25-29 s for the usual 30."""
NAT_BINDING: Final = 30.0
SHORTEST_FLOW_TIMER: Final = 10.0


@dataclass(slots=True)
class _Held:
    until: float
    interval: tuple[float, float]
    pinged: float | None = None
    """When the ping was sent whose pong is awaited."""
    answers: bool = False
    """Whether the server ever sent a pong."""


class KeepAlive:
    """The flows in use and when each is due."""

    def __init__(
        self,
        clock: Clock,
        entropy: Callable[[int], bytes],
        *,
        ping: Callable[[Flow], None],
        fail: Callable[[Flow], None],
        heard: Callable[[Flow], float],
        nat_binding: float = NAT_BINDING,
    ) -> None:
        """`ping` sends, `fail` gives a flow up, `heard` says when anything last came over it."""
        self._clock = clock
        self._entropy = entropy
        self._ping = ping
        self._fail = fail
        self._heard = heard
        self._udp_interval = (nat_binding * NAT_SHARE[0], nat_binding * NAT_SHARE[1])
        self._held: dict[Flow, _Held] = {}
        self._due: list[tuple[float, int, Flow]] = []
        self._order = itertools.count()
        self._alarm: Alarm | None = None
        self._armed_for = float("inf")

    def hold(self, flow: Flow, seconds: float, flow_timer: float | None = None) -> None:
        """Keep a flow alive for that long from now, or longer if it is held already."""
        until = self._clock.monotonic() + seconds
        held = self._held.get(flow)
        if held is None:
            held = self._held[flow] = _Held(until, self._interval(flow))
            self._schedule(flow, self._pick(held))
        held.until = max(held.until, until)
        if flow_timer is not None and flow_timer >= SHORTEST_FLOW_TIMER:
            held.interval = (flow_timer * FLOW_TIMER_SHARE[0], flow_timer * FLOW_TIMER_SHARE[1])

    def holds(self, flow: Flow) -> bool:
        """Whether the flow is in use."""
        held = self._held.get(flow)
        return held is not None and held.until > self._clock.monotonic()

    def pong(self, flow: Flow) -> None:
        """The server answered a ping."""
        held = self._held.get(flow)
        if held is not None:
            held.answers = True

    def forget(self, flow: Flow) -> None:
        """The flow is gone."""
        self._held.pop(flow, None)

    def stop(self) -> None:
        """Let all flows go."""
        self._held.clear()
        self._due.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _interval(self, flow: Flow) -> tuple[float, float]:
        return STREAM_INTERVAL if flow.transport.reliable else self._udp_interval

    def _pick(self, held: _Held) -> float:
        low, high = held.interval
        return low + (high - low) * int.from_bytes(self._entropy(4), "big") / 2**32

    def _schedule(self, flow: Flow, after: float) -> None:
        due = self._clock.monotonic() + after
        heapq.heappush(self._due, (due, next(self._order), flow))
        if due < self._armed_for:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._armed_for = due
        self._alarm = self._clock.call_at(due, self._ring)

    def _ring(self) -> None:
        now = self._clock.monotonic()
        self._alarm, self._armed_for = None, float("inf")
        while self._due and self._due[0][0] <= now:
            self._act(heapq.heappop(self._due)[2], now)
        if self._due and self._due[0][0] < self._armed_for:
            self._arm(self._due[0][0])

    def _act(self, flow: Flow, now: float) -> None:
        held = self._held.get(flow)
        if held is None:
            return
        if held.until <= now:
            self.forget(flow)
        elif held.pinged is None:
            self._send_ping(flow, held, now)
        else:
            self._judge(flow, held)

    def _send_ping(self, flow: Flow, held: _Held, now: float) -> None:
        self._ping(flow)
        if flow.transport.reliable:
            held.pinged = now
            self._schedule(flow, PONG_TIMEOUT)
        else:
            self._schedule(flow, self._pick(held))

    def _judge(self, flow: Flow, held: _Held) -> None:
        """Whatever came since the ping shows that the flow lives."""
        assert held.pinged is not None
        if held.answers and self._heard(flow) < held.pinged:
            self.forget(flow)
            self._fail(flow)
            return
        held.pinged = None
        self._schedule(flow, max(0.0, self._pick(held) - PONG_TIMEOUT))
