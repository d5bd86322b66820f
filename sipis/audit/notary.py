"""Signs the log after the fact: checkpoints for those who publish, receipts for those who ask.

What waits for a signature at the same time shares one. A log never signs two states that do not
continue each other: at the start its leaves are held against the newest checkpoint signed, and a
log that has lost leaves (an older database was restored) goes on as a new line under a name of its
own, whose first new leaf names what was lost.
Refuses to hold up a deletion: without a key, receipts say `pending` and get their proof later.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from sipis.audit import chronicle, leaf, note
from sipis.audit.checkpoints import Checkpoints
from sipis.audit.chronicle import Evidence
from sipis.audit.leaf import Kind, Leaf, minute_of
from sipis.audit.note import Checkpoint, Head, NoteSigner
from sipis.audit.receipt import PENDING, SIGNED, Receipt
from sipis.clock import Clock
from sipis.errors import SipisError, StoreError
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.store import leaves, notes
from sipis.store.runner import Store

EVERY: Final = 60.0
"""Seconds between two published checkpoints."""

DAY: Final = 86_400.0
MOST_UNTOLD: Final = 10_000
"""Leaves that wait while the database takes nothing; beyond, the oldest are lost."""

PART: Final = "log"
"""The name of the log among the parts of the server's health."""

KEY_NOTE: Final = "audit.key"
CENSUS_NOTE: Final = "audit.census"
_LINE: Final = "/line-"

_log = structlog.get_logger("audit")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The name of the log and for how many seconds lines and checkpoints are kept."""

    origin: str
    retention: float


@dataclass(slots=True)
class Surroundings:
    """What a notary needs; `signers` reads the keys, the one in force first, or raises SipisError.

    Before a rotation the second signer is the key that is being retired.
    """

    store: Store
    clock: Clock
    metrics: Metrics
    health: Health
    checkpoints: Checkpoints
    signers: Callable[[], Sequence[NoteSigner]]


class Notary:
    """Signs what the chronicle holds."""

    def __init__(self, around: Surroundings, settings: LogSettings) -> None:
        self._around = around
        self._settings = settings
        self._origin = settings.origin
        self._keys: Sequence[NoteSigner] = ()
        self._latest: Checkpoint | None = None
        self._published = 0
        self._untold: deque[Leaf] = deque(maxlen=MOST_UNTOLD)
        self._turn = asyncio.Lock()

    @property
    def latest(self) -> Checkpoint | None:
        """The checkpoint signed last; None before the first."""
        return self._latest

    def verifier_keys(self) -> list[str]:
        """The public keys that sign now, the one in force first; empty while none can be read."""
        name = self._settings.origin
        return [note.verifier_key(name, signer.public_key) for signer in self._signers()]

    async def open(self) -> None:
        """Before anything is told: make sure that the log continues what was signed before."""
        known = await asyncio.to_thread(self._around.checkpoints.newest)
        if known is not None:
            self._origin = known[0]
            if await self._continues(known[1].head):
                self._published = known[1].head.size
            else:
                await self._begin_new_line(known[1].head)
        await self._announce_key()
        await self.record(Leaf(Kind.CONFIG, self._now(), notice="started"))

    async def run(self) -> None:
        """Publish a checkpoint each minute with change, count the living each day, drop the old."""
        while True:
            try:
                await self.work()
            except SipisError as failed:
                _log.error("log work failed", error=type(failed).__name__)
            await self._around.clock.sleep(EVERY)

    async def work(self) -> None:
        """One round: write what waits, count, publish, drop. StoreError."""
        await self._tell()
        await self._count_the_living()
        await self._publish()
        while await self._around.store.write(chronicle.drop_older, self._oldest_kept()) > 0:
            pass
        day = minute_of(self._oldest_kept())[:10]
        await asyncio.to_thread(self._around.checkpoints.drop, day)

    async def record(self, *new: Leaf) -> None:
        """Add leaves that belong to no other transaction; what the store refuses comes later."""
        self._untold += new
        with suppress(StoreError):
            await self._tell()

    async def epoch_rolled(self, before: int, after: int) -> None:
        """A new epoch key is in force, and the old one is gone."""
        await self.record(leaf.rolled(self._now(), before, after))

    async def epoch_found(self, generation: int) -> None:
        """The epoch key in force at a start: tell of a roll that nobody could tell of.

        A crash came before its leaf, or the KEK was changed while the server was stopped.
        """
        told = await self._around.store.read(leaves.newest, Kind.EPOCH_ROLLED.value)
        known = generation if told is None else leaf.epoch_after(told)
        if known < generation:
            await self.epoch_rolled(known, generation)

    async def keyloss(self, instances: int) -> None:
        """The key slots were lost, and with them so many instances."""
        await self.record(Leaf(Kind.KEYLOSS, self._now(), count=instances))

    async def restored(self, instances: int) -> None:
        """So many rows had no key any more, as after the restore of an older database."""
        await self.record(Leaf(Kind.RESTORE, self._now(), count=instances))

    async def overridden(self, setting: str) -> None:
        """The operator has set a protection aside, by this setting."""
        notice = re.sub("[^a-z0-9]", "_", setting.lower())
        await self.record(Leaf(Kind.CONFIG, self._now(), notice=notice))

    async def canary(self, commitment: bytes, findings: int) -> None:
        """A planted instance was destroyed and looked for; so many traces were found."""
        if findings:
            told = Leaf(Kind.CANARY_FAIL, self._now(), c=commitment, count=findings)
        else:
            told = Leaf(Kind.CANARY_OK, self._now(), c=commitment)
        await self.record(told)

    async def vouch(self, receipt: Receipt) -> Receipt:
        """The receipt with its proof, or with what there is of it so far."""
        signed = None if self._latest is None else self._latest.head
        read = self._around.store.read
        try:
            found = await read(chronicle.find_end, receipt.commitment, signed)
            return receipt if found is None else await self._vouch(receipt, found)
        except SipisError as failed:
            _log.warning("receipt without proof", error=type(failed).__name__)
            return replace(receipt, signature=PENDING)

    async def _vouch(self, receipt: Receipt, found: Evidence) -> Receipt:
        told = replace(receipt, signature=PENDING, leaf=found.line.decode())
        signed = await self._covering(found.seq, found.head)
        if signed is None:
            return told
        if signed.head != found.head:
            found = await self._around.store.read(chronicle.prove, found, signed.head)
        proof = note.receipt(found.line, found.seq, found.path, signed)
        return replace(told, signature=SIGNED, proof=proof)

    async def _covering(self, seq: int, head: Head) -> Checkpoint | None:
        """A checkpoint with that leaf: the newest, or else `head` is signed.

        Those who wait for their turn meanwhile share that signature.
        """
        async with self._turn:
            if not self._covers(seq):
                await self._sign(head)
        return self._latest if self._covers(seq) else None

    def _covers(self, seq: int) -> bool:
        return self._latest is not None and self._latest.head.size > seq

    async def _sign(self, head: Head) -> None:
        """Sign the log as it stands; a failure is noted as a trouble of the server."""
        signers = self._signers()
        if not signers:
            return
        try:
            self._latest = await asyncio.to_thread(self._sign_and_note, head, signers)
        except (SipisError, OSError) as failed:
            self._trouble(failed)
            return
        self._around.metrics.count("log_signatures_total")
        self._around.metrics.gauge("log_leaves", head.size)
        self._around.health.part_works(PART)

    def _sign_and_note(self, head: Head, signers: Sequence[NoteSigner]) -> Checkpoint:
        signed = note.checkpoint(self._origin, head, self._settings.origin, signers)
        self._around.checkpoints.note(signed)
        return signed

    def _signers(self) -> Sequence[NoteSigner]:
        """The keys; read again each time as long as they cannot be read."""
        if not self._keys:
            try:
                self._keys = self._around.signers()
            except SipisError as failed:
                self._trouble(failed)
        return self._keys

    def _trouble(self, failed: Exception) -> None:
        _log.error("log cannot be signed", error=type(failed).__name__)
        self._around.metrics.count("log_signature_failures_total")
        self._around.health.trouble(PART, "the log cannot be signed; receipts are pending")

    async def _tell(self) -> None:
        """Write down what waits; StoreError, and it goes on waiting."""
        waiting = tuple(self._untold)
        if not waiting:
            return
        self._untold.clear()
        try:
            await self._around.store.write(chronicle.append, waiting)
        except StoreError:
            self._untold.extendleft(reversed(waiting))
            raise

    async def _publish(self) -> None:
        size = await self._around.store.read(leaves.size)
        if size == self._published:
            return
        head = await self._around.store.read(chronicle.head)
        signed = await self._covering(head.size - 1, head)
        if signed is None:
            return
        day = minute_of(self._now())[:10]
        try:
            await asyncio.to_thread(self._around.checkpoints.publish, signed, day)
        except OSError as failed:
            self._trouble(failed)
            return
        self._published = signed.head.size

    async def _count_the_living(self) -> None:
        last = await self._around.store.read(notes.get, CENSUS_NOTE)
        if last is None or self._now() - float(last) >= DAY:
            await self._around.store.write(chronicle.census, self._now())
            await self._around.store.write(notes.put, CENSUS_NOTE, repr(self._now()))

    async def _continues(self, signed: Head) -> bool:
        size = await self._around.store.read(leaves.size)
        if size < signed.size:
            return False
        return await self._around.store.read(chronicle.head, signed.size) == signed

    async def _begin_new_line(self, lost: Head) -> None:
        """The leaves that `lost` covers are gone: never sign under that name again."""
        name, _, line = self._origin.partition(_LINE)
        self._origin = f"{name}{_LINE}{int(line or 1) + 1}"
        _log.error("leaves of the log are lost", count=lost.size, action="new line begun")
        await self.record(Leaf(Kind.RESTORE, self._now(), c=lost.root, count=lost.size))

    async def _announce_key(self) -> None:
        """Tell in the log when another key signs than before."""
        signers = self._signers()
        if not signers:
            return
        now_signs = signers[0].public_key
        before = await self._around.store.read(notes.get, KEY_NOTE)
        if before == now_signs.hex():
            return
        await self.record(Leaf(Kind.LOG_KEY, self._now(), c=now_signs))
        await self._around.store.write(notes.put, KEY_NOTE, now_signs.hex())

    def _oldest_kept(self) -> float:
        return self._now() - self._settings.retention

    def _now(self) -> float:
        return self._around.clock.wall()
