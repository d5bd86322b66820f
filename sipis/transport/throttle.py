"""A token bucket for each source address, spent before anything is parsed.

Refuses to grow: the table is bounded, and the oldest bucket makes room for a new one. A bucket that
has filled again says nothing, and is let go when the owner asks for it.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

MOST_SOURCES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Rate:
    """How much one source may send: messages a second, and at once after a silence."""

    per_second: float
    burst: float


USUAL_RATE: Final = Rate(per_second=50.0, burst=200.0)


def source_of(host: str) -> str | bytes:
    """Whom an IP literal stands for: itself, or over IPv6 its /64, all of which a host owns."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped) if address.ipv4_mapped else address.packed[:8]


class Throttle:
    """Who may still be listened to."""

    def __init__(self, rate: Rate, most: int = MOST_SOURCES) -> None:
        self._rate = rate
        self._most = most
        self._buckets: dict[str | bytes, list[float]] = {}

    def admit(self, host: str, now: float) -> bool:
        """Spend one token of the source (an IP literal); False when it has none left."""
        key = source_of(host)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._open(key, now)
        tokens, since = bucket
        tokens = min(self._rate.burst, tokens + (now - since) * self._rate.per_second)
        bucket[:] = max(tokens - 1.0, 0.0) if tokens >= 1.0 else tokens, now
        return tokens >= 1.0

    def forget_rested(self, now: float) -> None:
        """Let go of the sources that were silent for so long that their bucket is full again.

        What is left moves to a new table: one that was large stays so whatever is taken out.
        """
        rested = now - self._rate.burst / self._rate.per_second
        left = {source: it for source, it in self._buckets.items() if it[1] > rested}
        if len(left) < len(self._buckets):
            self._buckets = left

    def _open(self, key: str | bytes, now: float) -> list[float]:
        if len(self._buckets) >= self._most:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[key] = bucket = [self._rate.burst, now]
        return bucket
