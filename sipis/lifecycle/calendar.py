"""The time by which instances live and die: wall time that cannot be turned back.

It is the wall clock, but never less than what was seen before, advanced by monotonic time; so a
clock set back prolongs no life. A clock that jumps ahead is believed only after an hour of staying
there, so that a wrong minute at boot does not end every life.
Refuses to trust itself over a restart: the mark is noted in the store and handed in again.
"""

from collections.abc import Callable
from typing import Final

from sipis.clock import Alarm, Clock

JUMP: Final = 60.0
"""The wall clock is ahead by more than this: it was set."""

DOUBT: Final = 3600.0
"""Seconds that a set clock must stay ahead before it is believed."""


class Calendar:
    """Unix seconds for expiry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mark = clock.wall()
        self._marked_at = clock.monotonic()
        self._ahead_since: float | None = None

    def now(self) -> float:
        """The time to judge expiry by."""
        steady = self.steady()
        ahead = self._clock.wall() - steady
        if ahead <= JUMP:
            self._ahead_since = None
        elif not self._is_believed():
            return steady
        self._mark = steady + max(0.0, ahead)
        self._marked_at = self._clock.monotonic()
        return self._mark

    def steady(self) -> float:
        """The last time believed, advanced by what has passed since."""
        return self._mark + self._clock.monotonic() - self._marked_at

    def never_before(self, mark: float) -> None:
        """An earlier process has seen this time."""
        if mark > self.now():
            self._mark, self._marked_at = mark, self._clock.monotonic()

    def _is_believed(self) -> bool:
        now = self._clock.monotonic()
        if self._ahead_since is None:
            self._ahead_since = now
        if now - self._ahead_since < DOUBT:
            return False
        self._ahead_since = None
        return True


class CalendarClock:
    """A clock that tells the calendar's time as its wall time: for what is written beside lives."""

    def __init__(self, clock: Clock, calendar: Calendar) -> None:
        self._clock = clock
        self._calendar = calendar

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that many monotonic seconds."""
        await self._clock.sleep(seconds)

    def wall(self) -> float:
        """Unix seconds of the calendar."""
        return self._calendar.now()

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Run the callback in the event loop when monotonic() reaches `when`."""
        return self._clock.call_at(when, callback)
