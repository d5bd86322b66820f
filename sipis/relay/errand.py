"""One request inside a call on its way to an app, until its final response.

An app may change networks at any moment, and a flow that died in silence looks open for long. So
whatever is unanswered is sent again, as a new transaction, when its flow is lost or the app comes
on another one. Refuses to send twice over one flow, and to disturb an app that has begun to answer
over a flow that still stands.
"""

from collections.abc import Callable

from sipis.clock import Alarm
from sipis.relay.awaited import PATIENCE
from sipis.relay.ports import OnOutcome, Outcome
from sipis.relay.tools import Tools
from sipis.relay.ways import Way
from sipis.sip.events import RequestFailed, RequestTimedOut, ResponseReceived
from sipis.sip.flow import Flow

Post = Callable[[Flow, OnOutcome], str]
"""Sends the request over a flow; returns its transaction."""


class Errand:
    """Takes one request to the app; `on_outcome` hears of it as if it had been sent once."""

    def __init__(self, way: Way, tools: Tools, post: Post, on_outcome: OnOutcome) -> None:
        self._way = way
        self._tools = tools
        self._post = post
        self._on_outcome = on_outcome
        self._flow: Flow | None = None
        self._transaction = ""
        self._heard = False
        self._alarm: Alarm | None = None

    def set_out(self) -> None:
        """Send it now, or as soon as the app has a flow; silence until then is a timeout."""
        clock = self._tools.clock
        self._alarm = clock.call_at(clock.monotonic() + PATIENCE, self._give_up)
        self._way.use(self._leave)

    def _leave(self, flow: Flow) -> None:
        if flow == self._flow or self._is_being_answered():
            return
        if self._transaction:
            self._tools.sip.abandon(self._transaction)
        self._rest()
        self._flow, self._heard = flow, False
        self._transaction = self._post(flow, self._hear)

    def _is_being_answered(self) -> bool:
        return self._heard and self._flow is not None and self._tools.sip.is_open(self._flow)

    def _hear(self, outcome: Outcome) -> None:
        if isinstance(outcome, RequestFailed):
            self._transaction = ""
            self.set_out()
            return
        self._heard = True
        if not isinstance(outcome, ResponseReceived) or outcome.response.status >= 200:
            self._way.settle(self._leave)
        self._on_outcome(outcome)

    def _give_up(self) -> None:
        self._way.settle(self._leave)
        self._on_outcome(RequestTimedOut(self._transaction))

    def _rest(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
