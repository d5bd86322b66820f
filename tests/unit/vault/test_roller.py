import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sipis.clock import ManualClock
from sipis.config import KeysSettings
from sipis.errors import StoreError, VaultError
from sipis.observe.metrics import Metrics
from sipis.vault import Vault
from sipis.vault.epoch import EpochSlot
from sipis.vault.events import Unrecorded
from sipis.vault.keystore import Rolled
from sipis.vault.roller import Roller
from tests.support.vault import admitted, open_vault


class Book(Unrecorded):
    """Writes rolls down; `full` refuses."""

    def __init__(self) -> None:
        self.rolls: list[tuple[int, int]] = []
        self.full = False

    async def epoch_rolled(self, before: int, after: int) -> None:
        if self.full:
            raise StoreError("no room")
        self.rolls.append((before, after))


class Keys:
    """A vault, its roller, and what was told of it."""

    def __init__(self, vault: Vault, settings: KeysSettings) -> None:
        self.vault, self.clock, self.metrics, self.book = vault, ManualClock(), Metrics(), Book()
        self.roller = Roller(
            vault, settings, clock=self.clock, metrics=self.metrics, events=self.book
        )

    def counted(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "sipis_epoch_rolls_total", {"outcome": outcome}
        )
        return value or 0.0


@asynccontextmanager
async def rolling(vault: Vault, settings: KeysSettings) -> AsyncIterator[Keys]:
    keys = Keys(vault, settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(keys.roller.run())
        await keys.clock.advance(0.1)
        try:
            yield keys
        finally:
            keys.roller.stop()


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Keys]:
    vault = open_vault(tmp_path)
    async with rolling(vault, KeysSettings()) as running:
        yield running
    vault.close()


async def test_every_start_rolls_since_nobody_knows_what_was_destroyed_before(keys: Keys) -> None:
    assert keys.book.rolls == [(1, 2)]


async def test_no_generation_is_missing_from_what_is_told_when_a_roll_fails_at_its_end(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next epoch is in force by then; only the block of the old one still stands."""

    def broken(_: EpochSlot) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(EpochSlot, "efface_other", broken)
        await keys.clock.advance(2701)
    await keys.clock.advance(6)
    assert keys.counted("failed") >= 1
    assert all(one[1] == other[0] for one, other in itertools.pairwise(keys.book.rolls))
    assert keys.book.rolls[-1][1] == keys.vault.generation


async def test_d10_a_deletion_is_followed_by_a_roll_within_a_minute(keys: Keys) -> None:
    row = await admitted(keys.vault)
    await keys.clock.advance(1000)
    await keys.vault.destroy([row])
    assert keys.book.rolls == [(1, 2)]
    await keys.clock.advance(60)
    assert keys.book.rolls == [(1, 2), (2, 3)]
    assert keys.vault._slots.touched == frozenset()


async def test_d10_many_deletions_share_a_roll(keys: Keys) -> None:
    for _ in range(20):
        await keys.vault.destroy([await admitted(keys.vault)])
        await keys.clock.advance(2)
    await keys.clock.advance(60)
    assert keys.book.rolls == [(1, 2), (2, 3)]


async def test_d10_without_deletions_it_rolls_every_hour(keys: Keys) -> None:
    await keys.clock.advance(3600)
    assert len(keys.book.rolls) == 2
    await keys.clock.advance(24 * 3600)
    assert len(keys.book.rolls) >= 26


async def test_d10_both_limits_are_the_operators(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    settings = KeysSettings(roll_after_delete=5, roll_every=100)
    async with rolling(vault, settings) as keys:
        await keys.vault.destroy([await admitted(vault)])
        await keys.clock.advance(5)
        assert len(keys.book.rolls) == 2
        await keys.clock.advance(100)
        assert len(keys.book.rolls) == 3
    vault.close()


async def test_d10_a_roll_that_cannot_be_done_is_tried_again_and_shows_as_late(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing() -> Rolled:
        raise VaultError("the disk is on fire")

    await keys.vault.destroy([await admitted(keys.vault)])
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        patch.setattr(keys.vault, "roll", failing)
        await keys.clock.advance(55)
        assert keys.roller.lateness == 0
        await keys.clock.advance(20)
        assert keys.roller.lateness > 0
        assert keys.counted("failed") >= 3
    await keys.clock.advance(5)
    assert keys.roller.lateness == 0
    assert keys.book.rolls == [(1, 2), (2, 3)]


async def test_d10_at_the_end_no_deletion_is_left_without_its_roll(keys: Keys) -> None:
    await keys.roller.finish()
    assert keys.book.rolls == [(1, 2)]
    await keys.vault.destroy([await admitted(keys.vault)])
    await keys.roller.finish()
    assert keys.book.rolls == [(1, 2), (2, 3)]
    assert keys.vault._slots.touched == frozenset()
    await keys.roller.finish()
    assert keys.vault.generation == 3


async def test_a_roll_that_cannot_be_written_down_is_a_roll(keys: Keys) -> None:
    keys.book.full = True
    await keys.vault.destroy([await admitted(keys.vault)])
    with capture_logs() as logs:
        await keys.clock.advance(60)
    assert keys.vault.generation == 3
    assert [entry["event"] for entry in logs] == ["roll not recorded"]
    assert keys.counted("rolled") == 2
