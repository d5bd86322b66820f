"""What a restart, a lost connection, a new address or a jump of the clock means for bindings.

Over UDP a binding outlives the process when it comes back at the same address before NAT bindings
close: nothing is sent for it. Bindings on connections died with them and are made again, spread
out. Refuses to look at every row at a plain start, and to send anything itself: it only moves rows.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from sipis.clock import Clock
from sipis.errors import RefusedAddress, StoreError, TransportError
from sipis.sip.flow import Door, Flow, Transport
from sipis.store import notes, timing
from sipis.store.runner import Store
from sipis.transport.endpoint import Endpoint
from sipis.transport.targets import Target

BEAT: Final = 10.0
"""Seconds between two notes that the server lives."""

JUMP: Final = 60.0
"""A wall clock that moves so much more or less than time itself has been set."""

BATCH: Final = 500
FLOW_SPREAD: Final = 15.0
REBIND_SPREAD: Final = 120.0
MOVE_HOLD: Final = 300.0
MOST_FLOWS: Final = 512

_NOTE: Final = "registrant.alive"
_log = structlog.get_logger("registrant")


@dataclass(frozen=True, slots=True)
class LastLife:
    """What the last process noted: when, at which addresses, and which UDP flows bindings used."""

    at: float = 0.0
    outside: str = ""
    flows: tuple[tuple[str, int, float], ...] = ()

    def to_text(self) -> str:
        """The note."""
        return json.dumps([self.at, self.outside, self.flows])

    @classmethod
    def from_text(cls, text: str | None) -> "LastLife":
        """Read to_text(); a note that cannot be read was never there."""
        try:
            at, outside, flows = json.loads(text or "")
            return cls(
                float(at), str(outside), tuple((str(h), int(p), float(u)) for h, p, u in flows)
            )
        except (ValueError, TypeError):
            return cls()

    def still_stands(self, outside: str, nat_binding: float, now: float) -> bool:
        """Whether bindings over UDP need no new REGISTER."""
        return self.outside == outside and 0 <= now - self.at < nat_binding


class Continuity:
    """Keeps the schedule true to what happens around it."""

    def __init__(
        self,
        store: Store,
        endpoint: Endpoint,
        clock: Clock,
        *,
        advertise: str,
        nat_binding: float,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._clock = clock
        self._advertise = advertise
        self._nat_binding = nat_binding
        self._wake = wake
        self._lost: deque[Flow] = deque()
        self._moved = False
        self._happened = asyncio.Event()
        self._resumed = asyncio.Event()
        self._moved_at = -MOVE_HOLD
        self._in_use: dict[tuple[str, int], float] = {}
        endpoint.on_flow_closed.append(self.flow_closed)

    async def resume(self) -> None:
        """Once, before anything is claimed: take up where the last process stopped."""
        if self._resumed.is_set():
            return
        now = self._clock.wall()
        last = LastLife.from_text(await self._store.read(notes.get, _NOTE))
        redone = await self._store.write(timing.redo_interrupted, now)
        await self._let_go(None)
        if last.still_stands(self._outside(), self._nat_binding, now):
            await self._hold_flows(last, now)
        elif last.at:
            self.moved()
        self._resumed.set()
        _log.info("resumed", count=redone, changed=self._moved)

    def used(self, flow: Flow, until: float) -> None:
        """A binding depends on this flow until an instant."""
        if flow.transport is Transport.UDP and flow.listener and len(self._in_use) < MOST_FLOWS:
            self._in_use[flow.remote] = max(until, self._in_use.get(flow.remote, 0.0))

    def moved(self) -> None:
        """Every binding has to be made again, spread out: nobody finds us where we were.

        At most once in MOVE_HOLD seconds, so that a NAT with two faces makes no storm.
        """
        now = self._clock.monotonic()
        if now - self._moved_at >= MOVE_HOLD:
            self._moved_at = now
            self._moved = True
            self._happened.set()

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone and the bindings on it with it."""
        if flow.door is Door.PROVIDER and len(self._lost) < 100_000:
            self._lost.append(flow)
            self._happened.set()

    async def repair(self) -> None:
        """A service: move rows whenever something happened, and what a crash left unmoved."""
        if self._lost or self._moved:
            self._happened.set()
        while True:
            await self._happened.wait()
            self._happened.clear()
            while self._lost:
                await self._let_go(self._lost[0])
                self._lost.popleft()
            if self._moved:
                await self._make_all_due()
                self._moved = False

    async def beat(self) -> None:
        """A service: note that the server lives, and notice when it did not for a while."""
        await self._resumed.wait()
        while True:
            wall, monotonic = self._clock.wall(), self._clock.monotonic()
            await self._note_life(wall)
            rested_at = self._clock.monotonic()
            await self._clock.sleep(BEAT)
            now = self._clock.monotonic()
            self._look_back(
                ahead=self._clock.wall() - wall - (now - monotonic), stood=now - rested_at - BEAT
            )

    def _look_back(self, *, ahead: float, stood: float) -> None:
        """After the clock was set back, or nothing was sent for longer than NAT bindings last.

        `ahead` is what the wall clock gained on time itself, as it does in a machine that is
        suspended; `stood` is for how long this process did not run. Both are in seconds.
        """
        if abs(ahead) > JUMP or stood > self._nat_binding:
            _log.warning("the clock was set, or time stood still", seconds=round(ahead or stood))
            self.moved()

    async def _note_life(self, now: float) -> None:
        self._in_use = {remote: until for remote, until in self._in_use.items() if until > now}
        flows = tuple((*remote, until) for remote, until in self._in_use.items())
        note = LastLife(now, self._outside(), flows).to_text()
        try:
            await self._store.write(notes.put, _NOTE, note)
        except StoreError as refused:
            _log.warning("life not noted", problem=str(refused))

    async def _let_go(self, flow: Flow | None) -> None:
        """Make the bindings of a lost flow (None: of every connection of the last process) due."""
        number, moved = None if flow is None else flow.id, BATCH
        while moved == BATCH:
            now = self._clock.wall()
            moved = await self._store.write(
                timing.flow_lost, number, now, limit=BATCH, spread=FLOW_SPREAD
            )
        self._wake()

    async def _make_all_due(self) -> None:
        last: int | None = 0
        while last is not None:
            last = await self._store.write(
                timing.rebind, self._clock.wall(), after=last, limit=BATCH, spread=REBIND_SPREAD
            )
            self._wake()

    async def _hold_flows(self, last: LastLife, now: float) -> None:
        """Keep the NAT bindings open on which resumed registrations are reached."""
        for host, port, until in last.flows:
            if until <= now:
                continue
            try:
                flow = await self._endpoint.flow_to(Target(Transport.UDP, host, port))
            except (TransportError, RefusedAddress):
                continue
            self._endpoint.hold(flow, until - now)
            self.used(flow, until)

    def _outside(self) -> str:
        """The addresses of this process as one text: another one means another place."""
        return "|".join([self._advertise, *sorted(_texts(self._endpoint))])


def _texts(endpoint: Endpoint) -> Iterable[str]:
    for one in endpoint.listening:
        if one.door is Door.PROVIDER and one.transport is Transport.UDP:
            yield f"{one.host}:{one.port}"
