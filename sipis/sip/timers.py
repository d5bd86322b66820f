"""Every timer of the transaction layer and the one wheel that they hang on.

Seconds everywhere. `T1`, `T2`, `T4` and the letters are those of RFC 3261 17.1.1.1 and table 4,
L and M those of RFC 6026; the others bear names. A wheel has slots of 50 ms that exist only while
something hangs in them, so that setting, cancelling and expiring cost the same with ten timers or
a million.
Refuses to read a clock: the time is an argument.
"""

import heapq
from collections.abc import Iterator
from enum import StrEnum
from math import ceil, floor, inf
from typing import Final, Generic, TypeVar

T1: Final = 0.5
T2: Final = 4.0
T4: Final = 5.0
TRYING_AFTER: Final = 0.2
"""How long the transaction user may be silent before a 100 goes out (RFC 3261 17.2.1)."""
LATE_TRYING_AFTER: Final = 7 * T1
"""When a peer's timer E reaches T2: the moment that RFC 4320 sets for the 100 to a non-INVITE."""
LONGEST_RINGING: Final = 600.0
"""An unanswered INVITE is forgotten this long after the last provisional response."""
TICKS_PER_SECOND: Final = 20

_ROUNDING: Final = 1e-6


class Timer(StrEnum):
    """What a transaction can wait for."""

    A = "timer A"
    """Repeat the INVITE."""
    B = "timer B"
    """Give up waiting for any response to the INVITE."""
    D = "timer D"
    """Stop acknowledging repeated refusals."""
    E = "timer E"
    """Repeat the request."""
    E_SLOW = "timer E at T2"
    """Repeat the request once the peer has shown that it is at work."""
    F = "timer F"
    """Give up waiting for the final response."""
    G = "timer G"
    """Repeat the refusal of an INVITE."""
    H = "timer H"
    """Give up waiting for its ACK."""
    I = "timer I"  # noqa: E741 - the letter of the RFC
    """Stop absorbing repeated ACKs."""
    J = "timer J"
    """Stop answering repeated requests."""
    K = "timer K"
    """Stop absorbing repeated responses."""
    L = "timer L"
    """Stop absorbing repeated INVITEs after a 2xx; when no ACK came, give up waiting for it."""
    M = "timer M"
    """Stop receiving 2xx to the INVITE."""
    REPEAT_2XX = "timer of the 2xx"
    """Repeat the 2xx to an INVITE (RFC 6026 8.1)."""
    TRYING = "timer of the 100"
    """Send 100 in place of a silent transaction user."""
    LATE_TRYING = "timer of the late 100"
    """The same for a non-INVITE (RFC 4320 4.1)."""
    CANCELLED = "timer of the CANCEL"
    """Give up waiting for the final response to a cancelled INVITE (RFC 3261 9.1)."""
    RINGING = "timer of the unanswered INVITE"
    """Forget an INVITE that the transaction user never answers."""
    UNANSWERED = "timer of the unanswered request"
    """Forget a request that was never answered: its sender gave up by now (RFC 4320 4.2)."""


DURATIONS: Final[dict[Timer, float]] = {
    Timer.A: T1,
    Timer.B: 64 * T1,
    Timer.D: max(32.0, 64 * T1),
    Timer.E: T1,
    Timer.E_SLOW: T2,
    Timer.F: 64 * T1,
    Timer.G: T1,
    Timer.H: 64 * T1,
    Timer.I: T4,
    Timer.J: 64 * T1,
    Timer.K: T4,
    Timer.L: 64 * T1,
    Timer.M: 64 * T1,
    Timer.REPEAT_2XX: T1,
    Timer.TRYING: TRYING_AFTER,
    Timer.LATE_TRYING: LATE_TRYING_AFTER,
    Timer.CANCELLED: 64 * T1,
    Timer.RINGING: LONGEST_RINGING,
    Timer.UNANSWERED: 64 * T1,
}

DOUBLING: Final[dict[Timer, float]] = {
    Timer.A: inf,
    Timer.E: T2,
    Timer.G: T2,
    Timer.REPEAT_2XX: T2,
}
"""Timers whose interval doubles each time they are set, and the longest interval."""

PACE: Final = frozenset(
    {
        Timer.A,
        Timer.E,
        Timer.E_SLOW,
        Timer.G,
        Timer.REPEAT_2XX,
        Timer.TRYING,
        Timer.LATE_TRYING,
    }
)
"""Timers that make a transaction send; all others end a state. One of each kind runs at a time."""

UNRELIABLE_ONLY: Final = frozenset({Timer.A, Timer.E, Timer.E_SLOW, Timer.G})
"""Timers that are never set on a reliable transport: it does the repeating."""

LINGER: Final = frozenset({Timer.D, Timer.I, Timer.J, Timer.K})
"""Timers that are zero on a reliable transport: nothing will come again."""

Owner = TypeVar("Owner")


class Entry(Generic[Owner]):
    """One timer that hangs on the wheel."""

    __slots__ = ("owner", "tick", "timer")

    def __init__(self, owner: Owner, timer: Timer, tick: int) -> None:
        self.owner = owner
        self.timer = timer
        self.tick = tick


_CANCELLED: Final = -1


class TimerWheel(Generic[Owner]):
    """Timers by the tick at which they expire; a timer is late by at most one tick, never early."""

    __slots__ = ("_slots", "_ticks")

    def __init__(self) -> None:
        self._slots: dict[int, dict[Entry[Owner], None]] = {}
        self._ticks: list[int] = []

    def set(self, when: float, owner: Owner, timer: Timer) -> Entry[Owner]:
        """Hang up a timer that expires at `when`."""
        tick = ceil(when * TICKS_PER_SECOND - _ROUNDING)
        entry = Entry(owner, timer, tick)
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = slot = {}
            heapq.heappush(self._ticks, tick)
        slot[entry] = None
        return entry

    def cancel(self, entry: Entry[Owner]) -> None:
        """Take a timer down; harmless when it has expired or was cancelled before."""
        slot = self._slots.get(entry.tick)
        if slot is not None:
            slot.pop(entry, None)
        entry.tick = _CANCELLED

    def expire(self, now: float) -> Iterator[Entry[Owner]]:
        """Take down, in order, what is due; timers may be set and cancelled between two steps."""
        last = floor(now * TICKS_PER_SECOND + _ROUNDING)
        while self._ticks and self._ticks[0] <= last:
            tick = heapq.heappop(self._ticks)
            for entry in self._slots.pop(tick):
                if entry.tick == tick:
                    yield entry

    def next_deadline(self) -> float | None:
        """The moment when expire() has something to do, None while nothing hangs here."""
        while self._ticks and not self._slots[self._ticks[0]]:
            del self._slots[heapq.heappop(self._ticks)]
        return self._ticks[0] / TICKS_PER_SECOND if self._ticks else None

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))
