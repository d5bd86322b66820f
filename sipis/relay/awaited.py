"""Requests inside calls that wait for an app to come back: it changes networks, or we restarted.

Refuses to wait longer than a transaction lives (64*T1, RFC 3261 17.1.2.2), and to pile up.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sipis.sip.flow import Flow

PATIENCE: Final = 32.0
MOST_EACH: Final = 16
MOST_APPS: Final = 10_000

Use = Callable[[Flow], None]
"""Sends something over the flow that was found."""


class Awaited:
    """What each absent app is owed; time is an argument (monotonic seconds)."""

    def __init__(self) -> None:
        self._owed: OrderedDict[int, list[tuple[float, Use]]] = OrderedDict()

    def keep(self, n: int, act: Use, now: float) -> None:
        """Do this as soon as the app of instance `n` has a flow."""
        owed = self._owed.setdefault(n, [])
        self._owed.move_to_end(n)
        if len(owed) < MOST_EACH:
            owed.append((now + PATIENCE, act))
        if len(self._owed) > MOST_APPS:
            self._owed.popitem(last=False)

    def take(self, n: int, now: float) -> list[Use]:
        """The app is back: what it is still owed, in order."""
        return [act for until, act in self._owed.pop(n, ()) if until > now]
