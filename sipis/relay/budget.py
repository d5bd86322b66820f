"""How often an instance may be bothered: so many times a minute, by the sliding minute.

Refuses to grow: the oldest instance is forgotten when too many are remembered.
"""

from collections import OrderedDict, deque
from typing import Final

MINUTE: Final = 60.0
MOST_REMEMBERED: Final = 50_000


class Budget:
    """Counts events per instance; time is an argument (monotonic seconds)."""

    def __init__(self, per_minute: int, *, most_remembered: int = MOST_REMEMBERED) -> None:
        self._per_minute = per_minute
        self._most = most_remembered
        self._spent: OrderedDict[int, deque[float]] = OrderedDict()

    def spend(self, n: int, now: float) -> bool:
        """Count one event of instance `n`; False, and nothing counted, when the minute is full."""
        spent = self._spent.setdefault(n, deque())
        self._spent.move_to_end(n)
        while spent and spent[0] <= now - MINUTE:
            spent.popleft()
        if len(spent) >= self._per_minute:
            return False
        spent.append(now)
        if len(self._spent) > self._most:
            self._spent.popitem(last=False)
        return True
