"""Where in the file of key slots bodies of segments lie, and where there is room for more.

One place is always kept spare and allocated on disk, so that a roll, which moves one segment after
the other, never needs room that a full disk does not have.
Refuses to give out a place that something may still be read from: the caller releases it.
"""

import heapq
from collections.abc import Callable, Iterable


class Places:
    """The places of a file; `reserve` allocates one on disk and raises OSError when it is full."""

    def __init__(self, taken: Iterable[int], reserve: Callable[[int], None]) -> None:
        used = set(taken)
        self._reserve = reserve
        self._next = max(used, default=-1) + 1
        self._free = [place for place in range(self._next) if place not in used]

    def ensure_spare(self) -> None:
        """Have one more place on disk than is in use."""
        if not self._free:
            self._reserve(self._next)
            self._free.append(self._next)
            self._next += 1

    def take(self) -> int:
        """A place for a body; what lies there is left from another one."""
        self.ensure_spare()
        return heapq.heappop(self._free)

    def release(self, place: int) -> None:
        """Nothing leads to this place any more."""
        heapq.heappush(self._free, place)
