"""The canary: an instance of nobody's that is planted, used, destroyed, and then looked for.

It takes the ordinary path of every instance, save that its app has the registration from the start:
no registrar, no push service hears of it. After its destruction its password, its push token, its
data keys and its sealed records must be nowhere in our files, and the first three nowhere in our
memory. What is found is told in the log, in a metric and in the readiness.

Refuses to judge memory where the C library does not overwrite what is freed: residue is certain
there, and the start says so. Refuses to be blind: before the end, the search must see what is held.
"""

import asyncio
import gc
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from sipis.clock import Clock
from sipis.errors import FieldError, SipisError
from sipis.lifecycle.orders import Enabled, EnableOrder
from sipis.lifecycle.service import Lifecycle
from sipis.model import Account, DeletionReason, Mode, PushService, PushTarget, TargetKind
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.secret import Secret
from sipis.sip.digest import Algorithm, DigestChallenge
from sipis.store import lookup
from sipis.store.lookup import Sealed
from sipis.store.runner import Store
from sipis.vault import PasswordCredential, Vault
from sipis.vault.search import Wanted, search_files, search_memory

APP: Final = "sipis-canary"
"""The app that canaries belong to; none of the configuration."""

DOMAIN: Final = "canary.invalid"
"""Where a canary's account would be: no name is ever resolved below .invalid (RFC 6761 6.4)."""

FIRST: Final = 300.0
"""Seconds after the start at which the first one is planted."""

SETTLED: Final = 5.0
"""Seconds between its end and the search: what the end itself held has been let go."""

LIFE: Final = 600.0
"""Seconds after which one expires that a crash left standing."""

PART: Final = "canary"
"""The name under which its trouble is shown."""

SEALED: Final = 64
"""Bytes of a sealed record that are looked for."""

_MARKER: Final = re.compile(r"[A-Za-z0-9._-]{12,64}")

_log = structlog.get_logger("canary")


class Blind(SipisError):
    """The search does not see what is held."""


class Diary(Protocol):
    """Who writes it down: the transparency log."""

    async def canary(self, commitment: bytes, findings: int) -> None:
        """A planted instance was destroyed and looked for; so many traces were found."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where it lives.

    places: all files that may hold traces, given an instant before the canary was planted.
    wipes: whether freed memory is overwritten, so that memory can be judged.
    """

    lifecycle: Lifecycle
    store: Store
    vault: Vault
    clock: Clock
    health: Health
    metrics: Metrics
    diary: Diary
    places: Callable[[float], Iterable[Path]]
    wipes: bool
    entropy: Callable[[int], bytes] = os.urandom
    every: float = 3600.0


@dataclass(frozen=True, slots=True)
class Traces:
    """What was found: files, and copies in memory (None: not judged, or not to be read)."""

    files: tuple[Path, ...]
    copies: int | None

    @property
    def count(self) -> int:
        """How many findings that makes."""
        return len(self.files) + (self.copies or 0)


@dataclass(frozen=True, slots=True)
class _Planted:
    enabled: Enabled = field(repr=False)
    secrets: Sequence[Wanted]
    sealed: Sequence[Wanted]
    since: float


class Canary:
    """Plants, destroys and looks, every hour."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds

    async def run(self) -> None:
        """Work until cancelled."""
        await self._grounds.clock.sleep(FIRST)
        while True:
            await self.inspect()
            await self._grounds.clock.sleep(self._grounds.every)

    async def inspect(self) -> Traces | None:
        """Plant one, use it, destroy it and look for it; None when something kept us from it."""
        try:
            planted = await self._plant_and_use()
            await self._see(planted)
            await self._end(planted.enabled)
            await self._grounds.clock.sleep(SETTLED)
            traces = await asyncio.to_thread(self._look_for, planted)
        except (SipisError, OSError) as failed:
            _log.error("canary not planted or not looked for", error=type(failed).__name__)
            self._grounds.metrics.count("canary_total", outcome="failed")
            self._grounds.health.trouble(PART, "the canary could not be planted or looked for")
            return None
        await self._tell(planted.enabled.opening.commitment, traces)
        return traces

    async def plant(self, marker: str, life: float = LIFE) -> Enabled:
        """Make an instance whose user, password and push token are the marker.

        It lives for `life` seconds. FieldError for a marker that cannot be a user's name.
        """
        if not _MARKER.fullmatch(marker):
            raise FieldError("marker", "must be 12 to 64 letters, digits, dots, dashes or _")
        order = EnableOrder(
            app=APP,
            account=Account(f"sip:{marker}@{DOMAIN}"),
            credential=PasswordCredential(Secret(marker)),
            targets=(PushTarget(PushService.FCM, TargetKind.TOKEN, marker),),
            ttl=life,
            mode=Mode.TAKEOVER,
        )
        return await self._grounds.lifecycle.plant(order)

    def look_in_memory(self, wanted: Wanted) -> int | None:
        """How many copies lie in the memory of this process; None when it cannot be read."""
        found = search_memory([wanted])
        if found:
            gc.collect()  # what nobody holds any more is no copy that is kept
            found = search_memory([wanted])
        return found

    async def _plant_and_use(self) -> _Planted:
        grounds = self._grounds
        since, marker = grounds.clock.wall(), grounds.entropy(16).hex()
        enabled = await self.plant(marker)
        wanted = Wanted.of(marker.encode(), grounds.entropy)
        sealed = await grounds.store.read(lookup.sealed, enabled.row.n, enabled.row.created_at)
        if sealed is None:
            raise FieldError("ttl", "is over before the canary was used")
        self._use(sealed)
        records = (sealed.credential, sealed.targets)
        return _Planted(
            enabled,
            (wanted, *grounds.vault.wanted_keys(sealed)),
            [Wanted.of(one[:SEALED], grounds.entropy) for one in records],
            since,
        )

    def _use(self, sealed: Sealed) -> None:
        """Answer a challenge, as a REGISTER would."""
        nonce, cnonce = self._grounds.entropy(16).hex(), self._grounds.entropy(16).hex()
        challenges = [DigestChallenge(DOMAIN, nonce, one, ("auth",)) for one in Algorithm]
        opened = self._grounds.vault.open_account(sealed)
        opened.authorize(
            challenges, method="REGISTER", uri=f"sip:{DOMAIN}", cnonce=cnonce, remembered=None
        )

    async def _see(self, planted: _Planted) -> None:
        """The control: what is held is seen, or else Blind."""
        if not await asyncio.to_thread(self._files_with, planted, planted.sealed):
            raise Blind

    async def _end(self, enabled: Enabled) -> None:
        """As an app ends its own, save for the reason, so that people can be counted apart."""
        await self._grounds.lifecycle.disable(enabled.row.id, enabled.secret, DeletionReason.CANARY)

    def _look_for(self, planted: _Planted) -> Traces:
        files = self._files_with(planted, (*planted.secrets, *planted.sealed))
        copies = None
        if self._grounds.wipes:
            found = [self.look_in_memory(one) for one in planted.secrets]
            copies = None if None in found else sum(one or 0 for one in found)
        return Traces(tuple(files), copies)

    def _files_with(self, planted: _Planted, wanted: Sequence[Wanted]) -> list[Path]:
        """Where it lies.

        A full folder takes seconds and megabytes to list, so not on the loop, and
        one file after the other.
        """
        return search_files(self._grounds.places(planted.since), wanted)

    async def _tell(self, commitment: bytes, traces: Traces) -> None:
        grounds = self._grounds
        grounds.metrics.gauge("canary_findings", traces.count)
        grounds.metrics.count("canary_total", outcome="residue" if traces.count else "clean")
        if traces.count:
            where = ", ".join(path.name for path in traces.files)
            _log.error("canary found", count=traces.count, where=where)
            grounds.health.trouble(PART, "traces of a destroyed instance were found")
        else:
            memory = "clean" if traces.copies == 0 else "not judged"
            _log.info("canary clean", outcome=f"files clean, memory {memory}")
            grounds.health.part_works(PART)
        await grounds.diary.canary(commitment, traces.count)
