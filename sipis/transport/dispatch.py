"""Events of the stack to those who wait for them: each response to its request's own handler.

A handler that crashes is counted and logged by the type of its error; nothing else suffers.
Refuses to know what the handlers do.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import where
from sipis.sip.events import (
    AckMissing,
    CancelReceived,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
)
from sipis.sip.flow import Door
from sipis.sip.timers import DURATIONS, Timer

MOST_INVITES: Final = 20_000
LATE_ANSWERS: Final = DURATIONS[Timer.M] + 1.0
"""Seconds after a 2xx to INVITE in which other forks may still answer (RFC 6026 8.4)."""

_log = structlog.get_logger("transport")


class RequestHandler(Protocol):
    """Takes the requests of one door, what cancels them, and final responses that lack an ACK."""

    def __call__(self, event: RequestReceived | CancelReceived | AckMissing, /) -> None:
        """Act on it; answer through the endpoint, now or later."""


ResponseHandler = Callable[[ResponseReceived | RequestTimedOut | RequestFailed], None]
"""Takes every response to one request, or what ended it instead."""


class Dispatch:
    """Who waits for what."""

    def __init__(self, metrics: Metrics) -> None:
        self.on_request: dict[Door, RequestHandler] = {}
        self._metrics = metrics
        self._waiting: dict[str, ResponseHandler] = {}
        self._answered: deque[tuple[float, str]] = deque()
        self._invites: dict[str, Door] = {}

    @property
    def waiting(self) -> int:
        """Requests of ours that can still be answered."""
        return len(self._waiting)

    def expect(self, transaction: str, handler: ResponseHandler) -> None:
        """Hand what becomes of a request to this handler."""
        self._waiting[transaction] = handler

    def forget(self, transaction: str) -> None:
        """Nobody waits for this any more."""
        self._waiting.pop(transaction, None)
        self._invites.pop(transaction, None)

    def forget_ended(self, lives: Callable[[str], bool]) -> None:
        """Let go of the INVITEs whose transactions have ended: no ACK can be missing any more."""
        self._invites = {it: door for it, door in self._invites.items() if lives(it)}

    def request(self, event: RequestReceived | CancelReceived) -> None:
        """Hand a request to its door."""
        if event.transaction is not None and event.request.method == "INVITE":
            self._note_invite(event.transaction, event.flow.door)
        self._tell_door(event.flow.door, event)

    def ack_missing(self, event: AckMissing) -> None:
        """Hand it to the door through which the INVITE came."""
        door = self._invites.pop(event.transaction, None)
        if door is not None:
            self._tell_door(door, event)

    def response(self, event: ResponseReceived, now: float) -> None:
        """Hand a response to the one who sent the request."""
        handler = self._waiting.get(event.transaction)
        if handler is None:
            return
        status = event.response.status
        if status >= 200:
            self._settle(event, status, now)
        self.guard(lambda: handler(event))

    def failure(self, event: RequestTimedOut | RequestFailed) -> None:
        """Tell the one who sent the request that nothing more will come."""
        handler = self._waiting.pop(event.transaction, None)
        if handler is not None:
            self.guard(lambda: handler(event))

    def guard(self, action: Callable[[], None]) -> None:
        """Run what others gave us; its crash ends here."""
        try:
            action()
        except Exception as crash:  # whatever it is, it must not reach the sockets
            self.crashed(crash)

    def crashed(self, crash: Exception) -> None:
        """Log and count a crash."""
        _log.error("crashed", room="transport", error=type(crash).__name__, where=where(crash))
        self._metrics.count("crashes_total", room="transport")

    def _settle(self, event: ResponseReceived, status: int, now: float) -> None:
        """Stop waiting, but for a 2xx to INVITE: other forks may answer after it."""
        if status < 300 and event.response.cseq.method == "INVITE":
            self._answered.append((now + LATE_ANSWERS, event.transaction))
        else:
            self._waiting.pop(event.transaction, None)
        while self._answered and self._answered[0][0] <= now:
            self._waiting.pop(self._answered.popleft()[1], None)

    def _note_invite(self, transaction: str, door: Door) -> None:
        if len(self._invites) >= MOST_INVITES:
            self._invites.pop(next(iter(self._invites)))
        self._invites[transaction] = door

    def _tell_door(self, door: Door, event: RequestReceived | CancelReceived | AckMissing) -> None:
        handler = self.on_request.get(door)
        if handler is not None:
            self.guard(lambda: handler(event))
