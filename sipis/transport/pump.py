"""The heart of the shell: what the stack has to send and to tell, and its one alarm.

Refuses to call a handler inside the call that sent: a flow found dead is reported from the loop.
"""

import asyncio
from collections.abc import Callable

from sipis.clock import Alarm, Clock
from sipis.sip.events import Event
from sipis.sip.flow import Flow
from sipis.sip.stack import Stack


class Pump:
    """Drains a stack after each batch of input, and wakes it at its deadline."""

    def __init__(
        self,
        stack: Stack,
        clock: Clock,
        *,
        transmit: Callable[[bytes, Flow], None],
        tell: Callable[[Event, float], None],
    ) -> None:
        self._stack = stack
        self._clock = clock
        self._transmit = transmit
        self._tell = tell
        self._running = False
        self._alarm: Alarm | None = None
        self._armed_for = float("inf")
        self._lost: dict[Flow, None] = {}

    def run(self, now: float) -> None:
        """Send and tell until there is nothing left; a handler may add to both meanwhile."""
        if self._running:
            return
        self._running = True
        try:
            self._drain(now)
        finally:
            self._running = False
        self._arm()

    def report_lost(self, flow: Flow) -> None:
        """Fail what was sent over the flow, as soon as the present call has returned."""
        if not self._lost:
            asyncio.get_running_loop().call_soon(self._fail_lost)
        self._lost[flow] = None

    def stop(self) -> None:
        """Let the alarm go; nothing is sent any more by itself."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._armed_for = None, -float("inf")

    def _drain(self, now: float) -> None:
        while True:
            for data, flow in self._stack.datagrams_to_send(now):
                self._transmit(data, flow)
            event = self._stack.next_event()
            if event is None:
                return
            self._tell(event, now)

    def _arm(self) -> None:
        """Move the alarm if the stack wants it earlier; a later wish waits for an idle ring."""
        deadline = self._stack.next_deadline()
        if deadline is None or deadline >= self._armed_for:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._armed_for = deadline
        self._alarm = self._clock.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm, self._armed_for = None, float("inf")
        now = self._clock.monotonic()
        self._stack.on_timer(now)
        self.run(now)

    def _fail_lost(self) -> None:
        now = self._clock.monotonic()
        lost, self._lost = self._lost, {}
        for flow in lost:
            self._stack.flow_closed(flow, now)
        self.run(now)
