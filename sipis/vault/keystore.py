"""The key tree on disk: epoch slot, key slots, and the one thread that writes them; how it rolls.

A roll makes destroyed keys unreadable in every copy that was ever made of anything but the epoch
slot (why: slots.py). Its order, in which a crash at any point leaves one whole epoch in force:

    move each touched segment        in the epoch in force: new body, sync; its root entry, sync
    write the other root table       sync; without its epoch key it means nothing yet
    write the other epoch block      sync; from here on the next epoch is in force
    overwrite the old epoch block    sync; from here on the old epoch key is nowhere

A segment at a time is moved, so that admissions and destructions never wait longer than for one.
What is destroyed meanwhile is moved as well before the epoch changes: whoever knows that a key was
destroyed in generation g knows that generation g + 1 is beyond its reach.

Refuses to leave a block standing that is not in force: whatever a crash left of an older or of an
unfinished epoch is overwritten at the next start.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from sipis.errors import VaultError
from sipis.model import InstanceId
from sipis.vault.commit import GroupCommit
from sipis.vault.envelope import KEY_LENGTH
from sipis.vault.epoch import Epoch, EpochSlot
from sipis.vault.slots import DataKeys, SlotFile

MOST_PASSES: Final = 8
"""How often touched segments are collected before the rest is moved together with the change."""

FEW: Final = 1
"""So many segments may be moved together with the change of the epoch, while deletions wait."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rolled:
    """Generations of the epoch key before and after a roll, and how many segments were moved."""

    before: int
    after: int
    moved: int


class KeyStore:
    """All keys of this server; what reads may be called from the loop, what writes is awaited."""

    def __init__(
        self,
        epoch_slot: EpochSlot,
        slots: SlotFile,
        entropy: Callable[[int], bytes],
        *,
        inline: bool,
    ) -> None:
        self.slots = slots
        self._epoch_slot = epoch_slot
        self._entropy = entropy
        self._commits = GroupCommit(slots.sync, inline=inline)
        self._rolling = asyncio.Lock()
        self._unerased: set[tuple[int, InstanceId]] = set()
        """What was to be erased and is not known to be: every later attempt takes it along."""

    @classmethod
    def open(
        cls,
        epoch_path: Path,
        slots_path: Path,
        kek: bytes,
        entropy: Callable[[int], bytes],
        *,
        inline: bool,
    ) -> "KeyStore":
        """Open both files; KeeperLocked, with neither changed, when they are not ours to open."""
        epoch_slot = EpochSlot.open(epoch_path, kek, entropy)
        try:
            slots = SlotFile.open(slots_path, epoch_slot.epoch, entropy)
        except BaseException:
            epoch_slot.close()
            raise
        try:
            epoch_slot.efface_other()
        except BaseException:
            epoch_slot.close()
            slots.close()
            raise
        return cls(epoch_slot, slots, entropy, inline=inline)

    @property
    def epoch(self) -> Epoch:
        """The epoch in force."""
        return self._epoch_slot.epoch

    async def write(self, instance: InstanceId, keys: DataKeys) -> int:
        """Put keys into a slot, durably; its number. VaultError when there is no room."""
        return await self._run(lambda: self.slots.write(instance, keys))

    async def erase(self, places: Sequence[tuple[int, InstanceId]]) -> None:
        """Overwrite the slots that these instances hold, durably; VaultError when it fails."""
        owed = (*places, *self._unerased)
        try:
            await self._run(lambda: self.slots.erase(owed))
        except BaseException:
            self._unerased.update(owed)
            raise
        self._unerased.difference_update(owed)

    async def held(self, segment: int) -> Mapping[int, InstanceId]:
        """Slots of a segment that an earlier process gave out, and whose they are."""
        return await self._run(lambda: self.slots.held(segment))

    async def roll(self, kek: bytes | None = None) -> Rolled:
        """Put the next epoch in force, and with `kek` under that KEK; VaultError: try again.

        Whatever was destroyed before this was called is gone for good when it returns.
        """
        async with self._rolling:
            if self._unerased:
                await self.erase(())
            moved = 0
            for _ in range(MOST_PASSES):
                touched = sorted(self.slots.touched)
                if len(touched) <= FEW:
                    break
                for number in touched:
                    moved += await self._run(partial(self._move, [number]))
            return await self._run(lambda: self._turn(moved, kek))

    def close(self) -> None:
        """Finish what is being written and let go of the files."""
        self._commits.close()
        self.slots.close()
        self._epoch_slot.close()

    def _turn(self, moved: int, kek: bytes | None) -> Rolled:
        """The change itself, with nothing else in between."""
        moved += self._move(sorted(self.slots.touched))
        before = self.epoch
        after = before.successor(self._entropy(KEY_LENGTH))
        root = self.slots.wrap_for(after)
        self._put(after, kek)
        self.slots.adopt(root)
        self._epoch_slot.efface_other()
        return Rolled(before.generation, after.generation, moved)

    def _move(self, numbers: Sequence[int]) -> int:
        for number in numbers:
            self.slots.rekey(number)
        return len(numbers)

    def _put(self, epoch: Epoch, kek: bytes | None) -> None:
        """Put an epoch in force, or leave no block of it: nobody works on in the old one beside it.

        Without that, what is added before the next attempt would be missing from a root that a
        crash brings into force.
        """
        try:
            self._epoch_slot.put(epoch, kek)
        except OSError:
            with suppress(OSError):
                self._epoch_slot.efface_other()
            raise

    async def _run(self, job: Callable[[], T]) -> T:
        try:
            return await self._commits.run(job)
        except OSError as failure:
            raise VaultError(f"the keys cannot be written: {failure.strerror}") from None
