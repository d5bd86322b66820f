"""What was taken in lately, by a hash of each: a repeat is known although the thing is erased.

Refuses to grow: the oldest is forgotten when too many are remembered, and after its time in any
case. Nothing survives a restart.
"""

from collections import OrderedDict
from typing import Final

REMEMBERED_FOR: Final = 600.0
MOST_REMEMBERED: Final = 50_000


class Recent:
    """Hashes and when they came; time is an argument (monotonic seconds)."""

    def __init__(
        self, seconds: float = REMEMBERED_FOR, *, most_remembered: int = MOST_REMEMBERED
    ) -> None:
        self._seconds = seconds
        self._most = most_remembered
        self._came: OrderedDict[tuple[int, bytes], float] = OrderedDict()

    def has(self, n: int, name: bytes, now: float) -> bool:
        """Whether instance `n` had this one lately."""
        came = self._came.get((n, name))
        return came is not None and now - came < self._seconds

    def note(self, n: int, name: bytes, now: float) -> None:
        """Remember this one."""
        self._came[n, name] = now
        self._came.move_to_end((n, name))
        if len(self._came) > self._most:
            self._came.popitem(last=False)
