"""A circuit per app and push service: a wrong key is not tried ten thousand times.

Refuses to stay open for ever: after a pause one push is let through, and its outcome decides.
"""

from typing import Final

from sipis.clock import Clock
from sipis.push.outcome import Accepted, Misconfigured, PushOutcome

FIRST_PAUSE: Final = 15.0
LONGEST_PAUSE: Final = 300.0


class Circuit:
    """Opens on a fault of the operator's account; closes on the first push accepted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether pushes are being held back."""
        return self._open_until is not None

    def lets_through(self) -> bool:
        """Whether this push may go; when it may although the circuit is open, it is the probe."""
        if self._open_until is None:
            return True
        if self._probing or self._clock.monotonic() < self._open_until:
            return False
        self._probing = True
        return True

    def learn(self, outcome: PushOutcome) -> bool:
        """Take the outcome of a push that went; True when that opened or closed the circuit."""
        self._probing = False
        was_open = self.open
        if isinstance(outcome, Misconfigured) and outcome.whole_app:
            self._open_until = self._clock.monotonic() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        elif isinstance(outcome, Accepted):
            self.close()
        return self.open != was_open

    def close(self) -> None:
        """Let everything through: the operator has changed something."""
        self._open_until, self._pause, self._probing = None, FIRST_PAUSE, False

    def abandon_probe(self) -> None:
        """The probe ended without an outcome."""
        self._probing = False
