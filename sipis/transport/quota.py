"""How many of something each source has, and no more than so many.

Refuses to count addresses one by one where a host has as many as it likes: see throttle.source_of.
"""

from collections import Counter

from sipis.transport.throttle import source_of


class Quota:
    """So many for each source."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str | bytes] = Counter()

    def take(self, host: str) -> bool:
        """One more for the source of a host (an IP literal); False when it has its share."""
        source = source_of(host)
        if self._taken[source] >= self._most:
            return False
        self._taken[source] += 1
        return True

    def give_back(self, host: str) -> None:
        """One less for the source of a host; only what was taken may be given back."""
        source = source_of(host)
        self._taken[source] -= 1
        if not self._taken[source]:
            del self._taken[source]
