"""The one path by which instances end, whatever the reason and however many at a time.

    stop REGISTERs, write the last words   what the key is still needed for
    destroy the keys, durably              from here on nobody opens the records
    erase the rows, leave the traces       leaf of the log, tombstone, Contact for late calls
    empty the logs of the database         no copy of the rows remains in our files
    give out the receipt, send the words   un-REGISTER, a push that it has expired

Refuses to undo and to wait for the network. What the database does not take (a full disk) is kept
and tried again: the key is dead by then.
"""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from sipis.audit import Receipt, chronicle, leaf, receipt_for
from sipis.errors import StoreError
from sipis.lifecycle.herald import Herald, Message
from sipis.lifecycle.means import Means
from sipis.lifecycle.orders import Deleted
from sipis.lifecycle.patience import limit
from sipis.model import DeletionReason, PushEvent
from sipis.registrant.farewell import Farewell
from sipis.store import erasure, receipts, slots
from sipis.store.erasure import Erased, Erasure
from sipis.store.slots import OwedSlot
from sipis.vault import KeyOwner

ROWS_AT_ONCE: Final = 500
"""Rows erased per job, so that no registration waits long behind a mass expiry."""

MOST_MESSAGES: Final = 100
"""Instances of one batch whose apps are told; of a mass expiry apps learn at their next contact."""

PREPARATION: Final = 1.0
"""Seconds that last words may take before the keys die without them."""

TOLD: Final = frozenset({DeletionReason.EXPIRED, DeletionReason.NEVER_REGISTERED})
"""Reasons of which the app is told by a push: it did not ask for the end."""

_log = structlog.get_logger("lifecycle")


class Doomed(KeyOwner, Protocol):
    """An instance whose time has come."""

    @property
    def n(self) -> int:
        """Its number."""

    @property
    def commitment(self) -> bytes:
        """The name of its receipt."""


@dataclass(frozen=True, slots=True)
class _End:
    """What is to be erased of an instance and what remains; its key is destroyed."""

    n: int
    receipt: Receipt
    slot: OwedSlot
    moment: float
    epoch: int

    @classmethod
    def of(cls, doomed: Doomed, reason: DeletionReason, moment: float, epoch: int) -> "_End":
        receipt = receipt_for(doomed.commitment, reason, moment)
        return cls(doomed.n, receipt, OwedSlot(doomed.slot, doomed.id), moment, epoch)

    def leaf(self, erased: Erased) -> leaf.Leaf:
        """What the log says of it."""
        return leaf.destroyed(
            erased.commitment, self.receipt.reason, self.moment, erased.expires_at, self.epoch
        )

    @property
    def erasure(self) -> Erasure:
        """What the store is told."""
        receipt = self.receipt
        document = json.dumps(receipt.as_json(), separators=(",", ":"))
        kept = receipts.Receipt(receipt.commitment, receipt.reason, receipt.destroyed_at, document)
        return Erasure(self.n, kept)


@dataclass(slots=True)
class _LastWords:
    farewells: list[Farewell] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


class Destruction:
    """Ends instances."""

    def __init__(self, means: Means, herald: Herald) -> None:
        self._means = means
        self._herald = herald
        self._unerased: dict[int, _End] = {}
        self._ending: set[int] = set()

    async def destroy(
        self, doomed: Sequence[Doomed], reason: DeletionReason, *, silently: bool = False
    ) -> list[Deleted]:
        """End these instances; returns when keys and rows are gone, last words unsent.

        `silently` says nothing to registrars and apps. VaultError when the keys cannot be
        overwritten: then nothing else has been done.
        """
        if not doomed:
            return []
        ns = {one.n for one in doomed}
        self._ending |= ns
        try:
            words = _LastWords() if silently else await self._prepare(doomed, reason)
            async with self._means.locks.holding_all(ns):  # nobody seals them anew meanwhile
                return await self._end(await self._as_they_are(doomed), reason, words)
        finally:
            self._ending -= ns

    def is_ending(self, n: int) -> bool:
        """Whether an end of this instance is under way, so that its missing key is no loss."""
        return n in self._ending or self.is_unerased(n)

    def is_unerased(self, n: int) -> bool:
        """Whether this instance has ended and only its row waits for the database."""
        return n in self._unerased

    async def _end(
        self, doomed: Sequence[Doomed], reason: DeletionReason, words: _LastWords
    ) -> list[Deleted]:
        await self._destroy_keys(doomed)
        for listener in self._means.on_ended:
            for one in doomed:
                listener(one.n)
        moment, epoch = self._means.calendar.now(), self._means.vault.generation
        deleted: list[Deleted] = []
        for first in range(0, len(doomed), ROWS_AT_ONCE):
            batch = doomed[first : first + ROWS_AT_ONCE]
            ends = [
                self._unerased.get(one.n) or _End.of(one, reason, moment, epoch) for one in batch
            ]
            # Queued together, both are done in one turn of the database's writer.
            erased, _ = await asyncio.gather(self._erase(ends), self._empty_logs())
            deleted += [await self._deleted(end, erased) for end in ends]
            self._means.metrics.count("instances_destroyed_total", len(erased), reason=reason.value)
        self._speak(words)
        return deleted

    async def _as_they_are(self, doomed: Sequence[Doomed]) -> Sequence[Doomed]:
        """With the slots that they have now: one may have been sealed anew since it was read."""
        moved = sorted(one.n for one in doomed if not self._means.vault.holds(one))
        if not moved:
            return doomed
        try:
            found = await self._means.store.read(slots.holders_of, moved)
        except StoreError:
            return doomed
        now = {one.n: one for one in found}
        return [now.get(one.n, one) for one in doomed]

    async def _destroy_keys(self, doomed: Sequence[Doomed]) -> None:
        """Destroy the keys; when the disk refuses, these instances register on until it does."""
        try:
            await self._means.vault.destroy(doomed)
        except BaseException:
            self._means.registrations.let_go([one.n for one in doomed])
            raise

    async def retry(self) -> None:
        """Erase again what the database did not take before."""
        if not self._unerased:
            return
        waiting = list(self._unerased.values())
        for first in range(0, len(waiting), ROWS_AT_ONCE):
            await self._erase(waiting[first : first + ROWS_AT_ONCE])
        await self._empty_logs()
        _log.info("erased at last", count=len(waiting) - len(self._unerased))

    async def _prepare(self, doomed: Sequence[Doomed], reason: DeletionReason) -> _LastWords:
        words = _LastWords()
        try:
            async with limit(self._means.clock, PREPARATION):
                ns = [one.n for one in doomed]
                words.farewells = await self._means.registrations.prepare_farewells(ns)
                if reason in TOLD:
                    words.messages = await self._messages(ns[:MOST_MESSAGES])
        except (TimeoutError, StoreError) as failure:
            _log.warning("last words lost", error=type(failure).__name__)
        return words

    async def _messages(self, ns: Sequence[int]) -> list[Message]:
        composed = [await self._herald.compose(n, PushEvent.EXPIRED) for n in ns]
        return [message for message in composed if message is not None]

    async def _erase(self, ends: Sequence[_End]) -> set[int]:
        """Erase these rows; returns whose were there, and keeps what has to be tried again."""
        try:
            erased = await self._erase_now(ends)
        except StoreError as failure:
            self._unerased |= {end.n: end for end in ends}
            _log.error("rows not erased", count=len(ends), error=type(failure).__name__)
            return set()
        for end in ends:
            self._unerased.pop(end.n, None)
        return erased

    async def _erase_now(self, ends: Sequence[_End]) -> set[int]:
        ttl = self._means.settings.policy.tombstone_ttl
        erased = await self._means.store.write(_erase_rows, ends, ttl)
        moved = [one for one in erased if self._means.vault.holds(one)]
        if moved:  # sealed anew since it was read, and the database did not say where to
            await self._means.vault.destroy(moved)
            owed = [OwedSlot(one.slot, one.id) for one in moved]
            await self._means.store.write(slots.destroyed, owed)
        return {one.n for one in erased}

    async def _empty_logs(self) -> None:
        try:
            if await self._means.store.checkpoint():
                return
        except StoreError as failure:
            _log.error("logs not emptied", error=type(failure).__name__)
        self._means.jobs.spawn("empty logs", self._empty_logs_later())

    async def _empty_logs_later(self) -> None:
        emptied = False
        while not emptied:
            await self._means.clock.sleep(1.0)
            with suppress(StoreError):
                emptied = await self._means.store.checkpoint()

    def _speak(self, words: _LastWords) -> None:
        self._means.registrations.send_farewells(words.farewells)
        for message in words.messages:
            self._means.jobs.spawn("expired", self._announce(message))

    async def _announce(self, message: Message) -> None:
        await self._herald.announce(message)

    async def _deleted(self, end: _End, erased: set[int]) -> Deleted:
        """The receipt; where the row was gone already, the one that was given out for it."""
        if end.n in self._unerased or end.n in erased:
            return Deleted(end.receipt, pending=end.n in self._unerased)
        stored = await self._means.store.read(receipts.get, end.receipt.commitment)
        return Deleted(read_receipt(stored) if stored else end.receipt)


def read_receipt(stored: receipts.Receipt) -> Receipt:
    """The receipt as the store keeps it."""
    signature = json.loads(stored.document)["signature"]
    return Receipt(stored.commitment, stored.reason, int(stored.erased_at), signature)


def _erase_rows(conn: sqlite3.Connection, batch: Sequence[_End], ttl: float) -> list[Erased]:
    """Erase, tell the log, and note which of the owed keys are gone already: all or nothing."""
    erased = erasure.erase(conn, [end.erasure for end in batch], tombstone_ttl=ttl)
    ends = {end.n: end for end in batch}
    chronicle.append(conn, [ends[one.n].leaf(one) for one in erased])
    slots.destroyed(conn, [end.slot for end in batch])
    return erased
