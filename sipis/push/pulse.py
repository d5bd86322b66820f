"""Whether a connection is still alive: PINGs when it is quiet (RFC 9113 6.7).

Refuses to close anything: it asks its owner to ping and tells it when the peer has gone silent.
"""

from collections.abc import Callable
from typing import Final

from sipis.clock import Alarm, Clock

IDLE: Final = 60.0
"""Quiet time after which an idle connection is pinged, in seconds."""
PENDING: Final = 3.0
"""The same while requests wait for their answers."""
PATIENCE: Final = 3.0
"""How long the answer to a PING may take."""


class Pulse:
    """One alarm per connection; hearing from the peer costs one assignment."""

    def __init__(
        self, clock: Clock, *, ping: Callable[[], None], silent: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._ping = ping
        self._silent = silent
        self._alarm: Alarm | None = None
        self._rings_at = 0.0
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._busy = False

    def start(self) -> None:
        """Begin to listen."""
        self.heard()
        self._set(self._heard_at + IDLE)

    def heard(self) -> None:
        """Something came from the peer."""
        self._heard_at = self._clock.monotonic()
        self._pinged_at = None

    def busy(self, pending: bool) -> None:
        """Requests wait for answers, or none do."""
        self._busy = pending
        if pending and self._alarm is not None:
            soon = self._clock.monotonic() + PENDING
            if self._rings_at > soon:
                self._set(soon)

    def stop(self) -> None:
        """Listen no more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        now = self._clock.monotonic()
        if self._pinged_at is not None and now - self._pinged_at >= PATIENCE:
            self.stop()
            self._silent()
            return
        if self._pinged_at is None and now - self._heard_at >= self._interval:
            self._pinged_at = now
            self._ping()
        self._set(self._next(now))

    def _next(self, now: float) -> float:
        if self._pinged_at is not None:
            return self._pinged_at + PATIENCE
        return max(now, self._heard_at) + self._interval

    @property
    def _interval(self) -> float:
        return PENDING if self._busy else IDLE

    def _set(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._rings_at = when
        self._alarm = self._clock.call_at(when, self._ring)
