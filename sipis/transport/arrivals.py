"""Connections on their way in: accepted, but not through their TLS handshake or upgrade yet.

Each costs memory (a TLS handshake 55 KiB, and 320 KiB where freed memory is overwritten) before
anybody knows who is behind it. So there are only so many, in all and of each source, and each has
only so much time.

Refuses to let strangers hold the door: when there are too many in all, the one that has been on
its way longest makes room. A phone needs a round trip or two, whoever holds on for longer waits.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from functools import partial
from typing import Final

from sipis.clock import Clock
from sipis.transport.quota import Quota

MOST_ARRIVALS: Final = 1_000
ARRIVALS_PER_SOURCE: Final = 64
ARRIVAL_TIMEOUT: Final = 10.0
"""Seconds in which a connection must be through its TLS handshake, and its upgrade."""


class Shortage(StrEnum):
    """Why a connection was ended on its way in: what it, its source, or everybody ran out of."""

    SHARE = "share"
    PLACES = "places"
    TIME = "time"


OnRefused = Callable[[Shortage], None]
Spawn = Callable[[str, Coroutine[object, object, None]], bool]


class Arrival:
    """One connection on its way in."""

    __slots__ = ("_ended", "_task", "accepted", "host")

    def __init__(self, accepted: socket.socket, host: str) -> None:
        """`host` is the IP literal that the connection comes from."""
        self.accepted = accepted
        self.host = host
        self._ended = False
        self._task: asyncio.Task[object] | None = None

    def may_end(self) -> None:
        """The calling task, which brings it in, may be cancelled from now on."""
        self._task = asyncio.current_task()
        if self._ended:
            self.end()

    def end(self) -> None:
        """Hang up, as soon as may be."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()


Welcome = Callable[[Arrival], Awaitable[None]]
"""Brings a connection in, and owns its socket from then on; returns once it is in or lost."""


class Arrivals:
    """All that are on their way in, through whichever listener."""

    def __init__(
        self,
        clock: Clock,
        spawn: Spawn,
        most: int = MOST_ARRIVALS,
        per_source: int = ARRIVALS_PER_SOURCE,
        *,
        on_refused: OnRefused = lambda _: None,
    ) -> None:
        """`spawn` runs a named job beside everything else; False when it does not."""
        self.clock = clock
        self._on_refused = on_refused
        self._spawn = spawn
        self._most = most
        self._quota = Quota(per_source)
        self._under_way: dict[Arrival, None] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def receive(self, accepted: socket.socket, host: str, welcome: Welcome) -> None:
        """Have a connection brought in, or close it when its source has too many on their way."""
        if not self._quota.take(host):
            accepted.close()
            self._on_refused(Shortage.SHARE)
            return
        if len(self._under_way) >= self._most:
            self._end(next(iter(self._under_way)))
            self._on_refused(Shortage.PLACES)
        arrival = Arrival(accepted, host)
        self._under_way[arrival] = None
        if not self._spawn("arrival", self._bring_in(arrival, welcome)):
            self._leave(arrival)
            accepted.close()

    def end_all(self) -> None:
        """Hang up on everybody who is on the way."""
        for arrival in tuple(self._under_way):
            self._end(arrival)

    async def _bring_in(self, arrival: Arrival, welcome: Welcome) -> None:
        due = self.clock.monotonic() + ARRIVAL_TIMEOUT
        deadline = self.clock.call_at(due, partial(self._expire, arrival))
        try:
            await welcome(arrival)
        except OSError:  # the peer went away, or spoke no TLS
            pass
        finally:
            deadline.cancel()
            self._leave(arrival)

    def _expire(self, arrival: Arrival) -> None:
        self._on_refused(Shortage.TIME)
        arrival.end()

    def _end(self, arrival: Arrival) -> None:
        self._leave(arrival)
        arrival.end()

    def _leave(self, arrival: Arrival) -> None:
        if arrival in self._under_way:
            del self._under_way[arrival]
            self._quota.give_back(arrival.host)
