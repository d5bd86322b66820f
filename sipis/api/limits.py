"""How often one source may call: a bounded table of token buckets; over IPv6 a /64 is one source.

Refuses to grow: when the table is full the longest unused bucket makes room, and a bucket that has
filled again is let go.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from sipis.clock import Clock
from sipis.transport.throttle import source_of

MOST_SOURCES = 10_000
REFILL = 60.0
"""Seconds in which an empty bucket fills."""

Source = Callable[[web.Request], str]
"""Under which name a request is counted."""


def peer(request: web.Request) -> str:
    """The address at the other end of the connection."""
    return request.remote or ""


def named_by_proxy(request: web.Request) -> str:
    """The address that our reverse proxy saw: the last that X-Forwarded-For lists.

    What stands before it is the client's own word. Without a readable one it is the proxy itself.
    """
    named = ",".join(request.headers.getall("X-Forwarded-For", [])).rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(named))
    except ValueError:
        return peer(request)


class RateLimit:
    """A token bucket for each source, refilled evenly over a minute."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._size = float(per_minute)
        self._buckets: OrderedDict[str | bytes, tuple[float, float]] = OrderedDict()

    def wait_for(self, host: str) -> float:
        """Take one token of a host: 0 when there was one, else the seconds until there is."""
        source, now = source_of(host), self._clock.monotonic()
        self._forget_rested(now)
        tokens, since = self._buckets.pop(source, (self._size, now))
        tokens = min(self._size, tokens + (now - since) * self._size / REFILL)
        allowed = tokens >= 1
        self._buckets[source] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > MOST_SOURCES:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) * REFILL / self._size

    def _forget_rested(self, now: float) -> None:
        """Let go of the sources that did nothing for a minute: their buckets are full again."""
        while self._buckets and now - next(iter(self._buckets.values()))[1] >= REFILL:
            self._buckets.popitem(last=False)
