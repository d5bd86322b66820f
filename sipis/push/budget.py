"""How many pushes one phone gets: a caller who floods us must not empty its battery.

Refuses to remember tokens: a phone is a number made of its token, kept for as long as it matters.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sipis.clock import Clock
from sipis.model import PushEvent, PushTarget

MINUTE: Final = 60.0
MOST_REMEMBERED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and as many again in so many seconds."""

    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What each kind of event may cost one phone."""

    calls: Rate = Rate(10, MINUTE)
    messages: Rate = Rate(30, MINUTE)
    checks: Rate = Rate(10, MINUTE)
    housekeeping: Rate = Rate(4, 60 * MINUTE)

    def of(self, event: PushEvent) -> tuple[str, Rate]:
        """Return the name of the event's bucket, and its rate."""
        if event in {PushEvent.CALL, PushEvent.CALL_ENDED}:
            return event.value, self.calls
        if event is PushEvent.MESSAGE:
            return "message", self.messages
        if event in {PushEvent.VERIFY, PushEvent.TEST}:
            return "check", self.checks
        return "housekeeping", self.housekeeping


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Budgets:
    """Token buckets by phone and kind of event; the ones unused longest are forgotten first."""

    def __init__(
        self, clock: Clock, rates: Rates | None = None, *, most_remembered: int = MOST_REMEMBERED
    ) -> None:
        self._clock = clock
        self._rates = rates or Rates()
        self._most = most_remembered
        self._buckets: OrderedDict[tuple[int, str], _Bucket] = OrderedDict()

    def take(self, target: PushTarget, event: PushEvent) -> bool:
        """Spend one push on the phone; False when its budget is used up."""
        name, rate = self._rates.of(event)
        bucket = self._bucket((hash((target.provider, target.token)), name), rate)
        now = self._clock.monotonic()
        refilled = bucket.level + (now - bucket.at) * rate.most / rate.seconds
        bucket.level, bucket.at = min(float(rate.most), refilled), now
        if bucket.level < 1:
            return False
        bucket.level -= 1
        return True

    def _bucket(self, key: tuple[int, str], rate: Rate) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(rate.most), self._clock.monotonic())
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket
