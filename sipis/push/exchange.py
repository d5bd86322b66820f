"""One HTTP/2 request and what came back.

Refuses to guess: `NotSent` is said only where the peer cannot have processed the request, so that
it may be repeated for free; everything else without an answer is `Unanswered`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sipis.clock import Alarm
from sipis.push.outcome import RESET

LONGEST_BODY: Final = 64 * 1024
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response; header names are lower-case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class NotSent:
    """The peer did not process the request (RFC 9113 8.7)."""

    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The request left; whether it was processed is unknown."""

    why: str


Exchanged = Answer | NotSent | Unanswered


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way: what is still to be sent, what has come in."""

    headers: Headers
    body: bytes
    done: asyncio.Future[Exchanged]
    deadline: float
    stream: int = 0
    sent: int = 0
    answer: dict[bytes, bytes] = field(default_factory=dict)
    received: list[bytes] = field(default_factory=list)
    size: int = 0
    alarm: Alarm | None = None
    on_sent: Callable[[], None] | None = None
    """Called when its stream is opened."""

    @property
    def unsent(self) -> int:
        """How many bytes of the body still wait for window."""
        return len(self.body) - self.sent

    def take(self, data: bytes) -> None:
        """Keep a piece of the response body; what exceeds the limit is dropped."""
        self.size += len(data)
        if self.size <= LONGEST_BODY:
            self.received.append(data)

    def finish(self, result: Exchanged) -> None:
        """Tell whoever waits; nobody may be waiting any more."""
        if self.alarm is not None:
            self.alarm.cancel()
        if not self.done.done():
            self.done.set_result(result)

    def answered(self) -> Exchanged:
        """Return the response, complete now that its stream has ended."""
        status = self.answer.get(b":status", b"")
        if not status.isdigit():
            return Unanswered(RESET)
        return Answer(int(status), self.answer, b"".join(self.received))
