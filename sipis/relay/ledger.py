"""What late wakers are told, and what a restart needs: calls, in memory and sealed in the store.

The latest state of a call is in memory at once and in the store soon after, one write after
another for each call. A store that is down costs a restart its calls, never a running call.
Refuses to keep more than a call needs: the caller as a push may show it and, while it is under way,
what a restart goes on with.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from sipis.clock import Clock
from sipis.errors import FieldError, KeyGone, StoreError, VaultError
from sipis.model import CallState
from sipis.relay.call.facts import LONGEST_CALL
from sipis.relay.finding import Found, by_number
from sipis.relay.fresh import with_fresh
from sipis.relay.keepsake import Keepsake
from sipis.relay.ports import Spawn
from sipis.store import calls
from sipis.store.calls import CallRow
from sipis.store.runner import Store
from sipis.vault import Vault

PURPOSE: Final = "call"
TOLD_FOR: Final = 120.0
"""Seconds for which a late waker is told how its call ended."""
MISSED_FOR: Final = 86_400.0
"""Seconds for which a missed call stays in the list."""
MOST_REMEMBERED: Final = 20_000

_MISSED: Final = frozenset({CallState.MISSED, CallState.CANCELLED})

_log = structlog.get_logger("relay")


@dataclass(frozen=True, slots=True)
class CallView:
    """A call as its app may see it; times are Unix seconds."""

    call: str
    state: CallState
    started_at: float
    ended_at: float | None = None
    caller: str | None = field(default=None, repr=False)

    @property
    def expires_at(self) -> float:
        """When nobody is told about it any more."""
        if self.ended_at is None:
            return self.started_at + LONGEST_CALL + TOLD_FOR
        return self.ended_at + (MISSED_FOR if self.state in _MISSED else TOLD_FOR)


@dataclass(slots=True)
class Entry:
    """One call while it is under way."""

    n: int
    view: CallView
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Ledger:
    """The calls that somebody may still ask about."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, spawn: Spawn) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._spawn = spawn
        self._recent: OrderedDict[tuple[int, str], CallView] = OrderedDict()

    def open(self, found: Found, call: str, caller: str | None) -> Entry:
        """Begin an entry; a repeated INVITE begins the same one again."""
        return Entry(found.n, CallView(call, CallState.RINGING, self._clock.wall(), caller=caller))

    def entry(self, found: Found, view: CallView) -> Entry:
        """Take up the entry of a call that was found at start."""
        return Entry(found.n, view)

    def record(
        self,
        entry: Entry,
        found: Found,
        state: CallState,
        *,
        ended: bool,
        keepsake: Keepsake | None = None,
    ) -> None:
        """Note where a call stands: in memory now, in the store as soon as may be."""
        ended_at = self._clock.wall() if ended else None
        entry.view = view = replace(entry.view, state=state, ended_at=ended_at)
        self._remember(entry.n, view)
        self._spawn("record", self._write(entry, found, view, keepsake))

    def knows(self, n: int, call: str) -> bool:
        """Whether this process has had to do with the call."""
        return (n, call) in self._recent

    async def all_of(self, n: int) -> list[CallView]:
        """The calls of an instance, newest first."""
        now = self._clock.wall()
        found = await self._store.read(by_number, n, now)
        rows = [] if found is None else await self._store.read(calls.list_for, n, now)
        stored = [] if found is None else [self._view(found, row) for row in rows]
        mine = {view.call: view for view in stored}
        mine |= {
            call: view
            for (owner, call), view in self._recent.items()
            if owner == n and view.expires_at > now
        }
        return sorted(mine.values(), key=lambda view: view.started_at, reverse=True)

    async def get(self, n: int, call: str) -> CallView | None:
        """One call of an instance; None when it is unknown or too old."""
        now = self._clock.wall()
        recent = self._recent.get((n, call.lower()))
        if recent is not None and recent.expires_at > now:
            return recent
        row = await self._store.read(calls.get, n, call, now)
        found = None if row is None else await self._store.read(by_number, n, now)
        return None if row is None or found is None else self._view(found, row)

    async def unfinished(self) -> list[tuple[Found, CallView, Keepsake | None]]:
        """At start: the calls that rang or ran when the process ended."""
        rows = await self._store.read(calls.under_way)
        left: list[tuple[Found, CallView, Keepsake | None]] = []
        for row in rows:
            found = await self._store.read(by_number, row.n, self._clock.wall())
            content = {} if found is None else self._open(found, row)
            if found is not None:
                kept = content.get("kept")
                keepsake = kept if isinstance(kept, dict) else None
                left.append((found, _as_view(row, content), keepsake))
        return left

    async def purge(self) -> None:
        """Erase what nobody may ask about any more."""
        now = self._clock.wall()
        for key in [key for key, view in self._recent.items() if view.expires_at <= now]:
            del self._recent[key]
        await self._store.write(calls.purge, now)

    def _remember(self, n: int, view: CallView) -> None:
        self._recent[n, view.call] = view
        self._recent.move_to_end((n, view.call))
        if len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)

    async def _write(
        self, entry: Entry, found: Found, view: CallView, keepsake: Keepsake | None
    ) -> None:
        await asyncio.sleep(0)  # the push that was begun with the call leaves first
        async with entry.lock:
            try:
                await self._save(found, view, keepsake)
            except KeyGone:
                return  # the instance has ended, and its calls are erased with it
            except (StoreError, VaultError, FieldError) as trouble:
                _log.warning("call not recorded", instance=found.id, error=type(trouble).__name__)

    async def _save(self, found: Found, view: CallView, keepsake: Keepsake | None) -> None:
        content = {"caller": view.caller, "kept": keepsake}
        plain = json.dumps(content, separators=(",", ":")).encode()

        def seal(one: Found) -> bytes:
            return self._vault.seal_content(one.row, PURPOSE, view.call, plain)

        sealed = await with_fresh(self._store, self._clock.wall(), found, seal)
        await self._store.write(calls.save, _as_row(found.n, view, sealed))

    def _view(self, found: Found, row: CallRow) -> CallView:
        return _as_view(row, self._open(found, row))

    def _open(self, found: Found, row: CallRow) -> dict[str, object]:
        try:
            plain = self._vault.open_content(found.row, PURPOSE, row.call, row.sealed)
            content = json.loads(plain)
        except (VaultError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _as_row(n: int, view: CallView, sealed: bytes) -> CallRow:
    return CallRow(
        n, view.call, view.state, view.started_at, view.ended_at, view.expires_at, sealed
    )


def _as_view(row: CallRow, content: Mapping[str, object]) -> CallView:
    caller = content.get("caller")
    name = caller if isinstance(caller, str) else None
    return CallView(row.call, row.state, row.started_at, row.ended_at, name)
