"""How many pushes of one app are with one service at a time, and who waits for the next place.

Refuses to grow without bound: when the waiting room is full, the least important and youngest
waiter leaves. Refuses to send what nobody waits for any more: an expired waiter never gets a
place.
"""

import asyncio
from enum import IntEnum, StrEnum
from functools import partial
from typing import Final

from sipis.clock import Clock
from sipis.model import PushEvent

MOST_INSIDE: Final = 256
MOST_WAITING: Final = 10_000


class Priority(IntEnum):
    """Calls ahead of messages ahead of everything else."""

    CALL = 0
    MESSAGE = 1
    HOUSEKEEPING = 2


PRIORITY: Final[dict[PushEvent, Priority]] = {
    PushEvent.CALL: Priority.CALL,
    PushEvent.CALL_ENDED: Priority.MESSAGE,
    PushEvent.MESSAGE: Priority.MESSAGE,
    PushEvent.VERIFY: Priority.MESSAGE,
    PushEvent.TEST: Priority.MESSAGE,
    PushEvent.MWI: Priority.HOUSEKEEPING,
    PushEvent.EXPIRING: Priority.HOUSEKEEPING,
    PushEvent.EXPIRED: Priority.HOUSEKEEPING,
}


class Why(StrEnum):
    """Why a push was dropped unsent."""

    EXPIRED = "expired"
    FULL = "full"
    BUDGET = "budget"
    CIRCUIT = "circuit"


Place = asyncio.Future[Why | None]


class Gate:
    """A counted set of places with a waiting room in order of priority, then arrival."""

    def __init__(
        self, clock: Clock, *, most_inside: int = MOST_INSIDE, most_waiting: int = MOST_WAITING
    ) -> None:
        self._clock = clock
        self._most_inside = most_inside
        self._most_waiting = most_waiting
        self._inside = 0
        self._rooms: dict[Priority, dict[Place, float]] = {each: {} for each in Priority}

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(len(room) for room in self._rooms.values())

    async def enter(self, priority: Priority, deadline: float) -> Why | None:
        """Take a place, waiting until `deadline` (monotonic) if need be; else return why not.

        Whoever got None calls leave() when done.
        """
        if self._clock.monotonic() >= deadline:
            return Why.EXPIRED
        if self._inside < self._most_inside:
            self._inside += 1
            return None
        if self.waiting >= self._most_waiting and not self._evict(priority):
            return Why.FULL
        return await self._wait(self._rooms[priority], deadline)

    def leave(self) -> None:
        """Give the place back, to the first who waits."""
        now = self._clock.monotonic()
        for room in self._rooms.values():
            while room:
                place, deadline = next(iter(room.items()))
                del room[place]
                if deadline > now:
                    place.set_result(None)
                    return
                place.set_result(Why.EXPIRED)
        self._inside -= 1

    async def _wait(self, room: dict[Place, float], deadline: float) -> Why | None:
        place: Place = asyncio.get_running_loop().create_future()
        room[place] = deadline
        alarm = self._clock.call_at(deadline, partial(_turn_away, room, place, Why.EXPIRED))
        try:
            return await asyncio.shield(place)
        except asyncio.CancelledError:
            if room.pop(place, None) is None and place.done() and place.result() is None:
                self.leave()
            raise
        finally:
            alarm.cancel()

    def _evict(self, priority: Priority) -> bool:
        """Turn away the youngest of the least important who are less important than this one."""
        for lower in reversed(Priority):
            if lower <= priority:
                return False
            if self._rooms[lower]:
                youngest = next(reversed(self._rooms[lower]))
                _turn_away(self._rooms[lower], youngest, Why.FULL)
                return True
        return False


def _turn_away(room: dict[Place, float], place: Place, why: Why) -> None:
    if room.pop(place, None) is not None:
        place.set_result(why)
