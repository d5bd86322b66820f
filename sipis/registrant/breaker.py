"""The circuit breaker and the budget of refused credentials of one registrar address.

A ban by the peer's intrusion prevention hits an address and thereby every customer behind it, so
both count per address. The breaker opens when many accounts in a row get nothing good, waits, lets
one canary through and closes when the canary succeeds.
Refuses clocks and chance: `now` is any clock in seconds, `jitter` 0 up to 1.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sipis.registrant.schedule import TRANSIENT

ACCOUNTS_TO_TRIP: Final = 8
"""So many different accounts must fail, with no success in between, before the breaker opens."""

HOUR: Final = 3600.0
CROWD_PATIENCE: Final = 0.25
MOST_CREDIT: Final = 32

LONGEST_PAUSE: Final = HOUR
"""No Retry-After closes an address for longer; the account that got it may wait longer."""


class Phase(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Signal(StrEnum):
    """What a breaker hears."""

    TRIP = "trip"
    PROBE = "probe"
    GOOD = "good"
    BAD = "bad"
    UNDECIDED = "undecided"


TABLE: Final[dict[tuple[Phase, Signal], Phase]] = {
    (Phase.CLOSED, Signal.TRIP): Phase.OPEN,
    (Phase.CLOSED, Signal.GOOD): Phase.CLOSED,
    (Phase.CLOSED, Signal.BAD): Phase.CLOSED,
    (Phase.CLOSED, Signal.UNDECIDED): Phase.CLOSED,
    (Phase.OPEN, Signal.PROBE): Phase.PROBING,
    (Phase.OPEN, Signal.TRIP): Phase.OPEN,
    (Phase.OPEN, Signal.GOOD): Phase.CLOSED,  # a straggler that was under way succeeded
    (Phase.OPEN, Signal.BAD): Phase.OPEN,
    (Phase.OPEN, Signal.UNDECIDED): Phase.OPEN,
    (Phase.PROBING, Signal.GOOD): Phase.CLOSED,
    (Phase.PROBING, Signal.BAD): Phase.OPEN,
    (Phase.PROBING, Signal.TRIP): Phase.OPEN,
    (Phase.PROBING, Signal.UNDECIDED): Phase.OPEN,
}


@dataclass(slots=True)
class Breaker:
    """One address: `until` is when an open breaker lets its canary through."""

    phase: Phase = Phase.CLOSED
    until: float = 0.0
    trips: int = 0
    _streak: set[int] = field(default_factory=set)

    def admits(self, now: float) -> bool:
        """Whether an attempt may start; while open that attempt is the canary.

        A pause that ends later than any may was begun before the clock was set back: it is over.
        """
        if self.phase is not Phase.OPEN:
            return self.phase is Phase.CLOSED
        return not now < self.until <= now + LONGEST_PAUSE

    def start(self) -> None:
        """An admitted attempt begins."""
        if self.phase is Phase.OPEN:
            self._hear(Signal.PROBE)

    def succeeded(self) -> None:
        """An account was registered: the address is well."""
        self._streak.clear()
        self.trips = 0
        self._hear(Signal.GOOD)

    def failed(self, account: int, now: float, jitter: float) -> bool:
        """An account failed in a way that may be the address's fault; True when this opened it."""
        self._streak.add(account)
        if self.phase is Phase.PROBING:
            self._open(Signal.BAD, now + TRANSIENT.wait(self.trips + 1, jitter))
        elif self.phase is Phase.CLOSED and len(self._streak) >= ACCOUNTS_TO_TRIP:
            self._open(Signal.TRIP, now + TRANSIENT.wait(self.trips + 1, jitter))
            return True
        return False

    def undecided(self) -> None:
        """An attempt ended without telling anything about the address: the next one probes."""
        self._hear(Signal.UNDECIDED)

    def pause(self, seconds: float, now: float) -> None:
        """The address asked to be left alone (503 with Retry-After)."""
        longest = now + LONGEST_PAUSE
        self._open(Signal.TRIP, min(longest, max(self.until, now + seconds)))

    def restore(self, until: float, trips: int) -> None:
        """Take up where an earlier process was: open with trips, else closed."""
        self.until, self.trips = until, trips
        self.phase = Phase.OPEN if trips else Phase.CLOSED

    @property
    def idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        return self.phase is Phase.CLOSED and not self._streak

    def _open(self, signal: Signal, until: float) -> None:
        self.until = until
        self.trips += 1
        self._streak.clear()
        self._hear(signal)

    def _hear(self, signal: Signal) -> None:
        self.phase = TABLE[self.phase, signal]


@dataclass(slots=True)
class RefusalBudget:
    """How many refused credentials an address sees from us within any hour.

    Only accounts that were never registered, or were refused last time, draw on it: they reserve
    before they try, so that not even a crowd of them at once exceeds the budget. Those that have
    failed before (`again`) get half of it, or a few of them would keep all new ones out. Where such
    accounts have succeeded of late, `credit` lets more of them try at a time.
    """

    per_hour: int
    reserved: int = 0
    credit: int = 0
    refused_at: deque[float] = field(default_factory=deque)

    def has_room(self, now: float, *, again: bool = False) -> bool:
        """Whether one more doubtful account may try."""
        self._forget(now)
        left = self._share(again=again) - len(self.refused_at)
        return left > 0 and self.reserved < left + self.credit

    def free_in(self, now: float, *, again: bool = False) -> float:
        """Seconds until enough refusals are an hour old; few while only tries are in the way."""
        self._forget(now)
        too_many = len(self.refused_at) - self._share(again=again)
        if too_many < 0 or not self.refused_at:
            return CROWD_PATIENCE
        return self.refused_at[min(too_many, len(self.refused_at) - 1)] + HOUR - now

    def succeeded(self) -> None:
        """A doubtful account was registered."""
        self.credit = min(self.credit + 1, MOST_CREDIT)

    def reserve(self) -> None:
        """A doubtful account begins."""
        self.reserved += 1

    def release(self) -> None:
        """It ended."""
        self.reserved -= 1

    def refused(self, now: float) -> None:
        """The address has refused credentials of ours."""
        self.credit = 0
        self.refused_at.append(now)

    def _share(self, *, again: bool) -> int:
        return self.per_hour - self.per_hour // 2 if again else self.per_hour

    def _forget(self, now: float) -> None:
        while self.refused_at and abs(now - self.refused_at[0]) >= HOUR:
            self.refused_at.popleft()
