"""The mass-death guard: many tokens of one app dying at once is a wrong key, not dead phones.

Refuses to destroy on the word of a push service when more than 2 % of an app's targets, and at
least 20 of them, are declared dead within ten minutes.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

WINDOW: Final = 600.0
LEAST: Final = 20
SHARE: Final = 0.02
MOST_REMEMBERED: Final = 50_000


class MassDeathGuard:
    """Counts distinct deaths per app over the last ten minutes; times are monotonic seconds."""

    def __init__(self) -> None:
        self._deaths: dict[str, OrderedDict[Hashable, float]] = {}

    def permits(self, app: str, target: Hashable, targets: int, now: float) -> bool:
        """Note a death; whether it may be acted upon, in an app of so many targets."""
        deaths = self._deaths.setdefault(app, OrderedDict())
        while deaths and next(iter(deaths.values())) <= now - WINDOW:
            deaths.popitem(last=False)
        deaths[target] = now
        deaths.move_to_end(target)
        if len(deaths) > MOST_REMEMBERED:
            deaths.popitem(last=False)
        return len(deaths) < LEAST or len(deaths) <= SHARE * targets
