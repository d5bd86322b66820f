"""Which key slot to give out next: always the lowest free one.

Refuses to know all slots: a segment is looked through when the lower ones are full, and a long list
of freed slots is forgotten and found again, so that a million slots cost neither time nor memory.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import Final

LONGEST_LIST: Final = 16_384
"""Free slots remembered at most; beyond, the segments are looked through again."""


class SlotAllocator:
    """Free slots below a cursor are listed; above it they are found when they are needed."""

    def __init__(
        self,
        free_in: Callable[[int], Iterable[int]],
        per_segment: int,
        segments: int,
        *,
        longest_list: int = LONGEST_LIST,
    ) -> None:
        self._free_in = free_in
        self._per_segment = per_segment
        self._segments = segments
        self._longest_list = longest_list
        self._cursor = 0
        self._free: list[int] = []

    def take(self) -> int | None:
        """The lowest free slot, now taken; None when every segment is full."""
        while not self._free and self._cursor < self._segments:
            self._free = list(self._free_in(self._cursor))
            self._cursor += 1
        return heapq.heappop(self._free) if self._free else None

    def release(self, slot: int) -> None:
        """Count a slot as free again."""
        if slot // self._per_segment >= self._cursor:
            return
        heapq.heappush(self._free, slot)
        if len(self._free) > self._longest_list:
            self._cursor = self._free[0] // self._per_segment
            self._free.clear()

    def grow(self, segments: int) -> None:
        """There are now that many segments."""
        self._segments = segments
