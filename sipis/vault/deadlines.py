"""By when the epoch must roll: so long after the first key destroyed since, and at least so often.

Refuses clocks: the time, in monotonic seconds, is an argument.
"""

from typing import Final

HEADSTART: Final = 0.25
"""The share of the time allowed that is left for the roll itself; the rest gathers deletions."""


class Deadlines:
    """The limits of the next roll; what is destroyed while one runs is a matter of the next."""

    def __init__(self, after_delete: float, at_least_every: float, now: float) -> None:
        self._after_delete = after_delete
        self._at_least_every = at_least_every
        self._rolled = now
        self._begun = now
        self._covering: float | None = None
        self._destroyed: float | None = None
        """When the first key was destroyed that no roll covers yet."""

    def destroyed(self, now: float) -> None:
        """Keys were destroyed just now."""
        if self._destroyed is None:
            self._destroyed = now

    def begin(self, now: float) -> None:
        """A roll begins; it covers all that was destroyed until now."""
        self._begun = now
        self._covering, self._destroyed = self._oldest(), None

    def succeed(self) -> None:
        """The roll has ended well."""
        self._rolled, self._covering = self._begun, None

    def fail(self) -> None:
        """The roll has failed: all that it was to cover still waits."""
        self._destroyed, self._covering = self._oldest(), None

    @property
    def due(self) -> float:
        """When the next roll is to begin."""
        hourly = self._rolled + self._at_least_every * (1 - HEADSTART)
        return min(hourly, self._limit_of_destruction() - self._after_delete * HEADSTART)

    @property
    def limit(self) -> float:
        """By when the next roll must have ended."""
        return min(self._rolled + self._at_least_every, self._limit_of_destruction())

    @property
    def owed(self) -> bool:
        """Whether keys were destroyed that no roll has covered yet."""
        return self._oldest() is not None

    def _limit_of_destruction(self) -> float:
        oldest = self._oldest()
        return float("inf") if oldest is None else oldest + self._after_delete

    def _oldest(self) -> float | None:
        return self._destroyed if self._covering is None else self._covering
