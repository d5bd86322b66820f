"""The promise of deletion, put to a thief who knows every format (D11).

He has copies of everything but the epoch slot, from any moments before, and everything that is live
once the epoch has rolled: database, key slots, epoch slot, KEK. He opens every living credential
and none that was deleted. With a copy of the epoch slot as well he opens the deleted one too: that
row is excluded from the promise, and shown here.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.lifecycle import Enabled
from sipis.model import PushService, PushTarget, TargetKind
from sipis.secret import Secret
from sipis.vault import PasswordCredential
from sipis.vault.roller import Roller
from tests.support.lifecycle import House, build, running, settings
from tests.support.thief import Thief

ROUNDS = int(os.environ.get("THIEF_ROUNDS", "12"))
LIMIT = 60.0


class Town:
    """A house whose epoch rolls, the people in it, and a thief."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self.house, self.chance, self.thief = house, chance, Thief()
        self.passwords: dict[str, bytes] = {}
        self.living: list[Enabled] = []
        self.deleted: list[Enabled] = []

    async def move_in(self) -> Enabled:
        password = f"password-{self.chance.randbytes(12).hex()}"
        enabled = await self.house.enable(
            credential=PasswordCredential(Secret(password)), targets=(self.token(),)
        )
        self.passwords[enabled.row.id] = password.encode()
        self.living.append(enabled)
        return enabled

    async def move_out(self, enabled: Enabled) -> None:
        self.living.remove(enabled)
        assert await self.house.lifecycle.delete(enabled.row.id) is not None
        self.deleted.append(enabled)

    async def anything(self) -> None:
        """Something that happens on any day, and perhaps a visit of the thief."""
        deed = self.chance.choice(["enable", "delete", "retoken", "time", "copy", "copy"])
        if deed == "enable" or not self.living:
            await self.move_in()
        elif deed == "delete":
            await self.move_out(self.chance.choice(self.living))
        elif deed == "retoken":
            await self.seal_anew(self.chance.choice(self.living))
        elif deed == "time":
            await self.house.clock.advance(self.chance.uniform(0, 2 * LIMIT))
        else:
            self.copy()

    async def seal_anew(self, enabled: Enabled) -> None:
        row = await self.house.row(enabled)
        assert row is not None
        assert await self.house.lifecycle.refresh(row, None, (self.token(),)) is not None

    def token(self) -> PushTarget:
        return PushTarget(PushService.FCM, TargetKind.TOKEN, self.chance.randbytes(16).hex())

    def copy(self, *, epoch_slot: bool = False) -> None:
        self.thief.steal(self.house.directory, epoch_slot=epoch_slot)

    def opens(self, enabled: Enabled) -> bool:
        password = self.passwords[enabled.row.id]
        return any(password in text for text in self.thief.read(enabled.row.id))


@asynccontextmanager
async def a_town(folder: Path, seed: int) -> AsyncIterator[Town]:
    house = build(folder / "data", ManualClock(), settings(folder))
    roller = Roller(house.vault, house.settings.keys, clock=house.clock, metrics=house.metrics)
    async with running(house), asyncio.TaskGroup() as group:
        group.create_task(roller.run())
        await house.clock.advance(1)
        try:
            yield Town(house, random.Random(seed))
        finally:
            roller.stop()


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_d11_what_was_deleted_a_minute_ago_is_beyond_every_copy_but_the_epoch_slots(
    tmp_path: Path, round_: int
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    async with a_town(tmp_path, seed) as town:
        victim = await town.move_in()
        for _ in range(town.chance.randrange(1, 12)):
            town.copy()
            await town.anything()
        if victim in town.living:
            await town.move_out(victim)
        for _ in range(town.chance.randrange(4)):
            await town.anything()
        await town.move_in()
        await town.house.clock.advance(LIMIT)
        town.copy(epoch_slot=True)
        assert [one for one in town.deleted if town.opens(one)] == []
        assert [one for one in town.living if not town.opens(one)] == []


async def test_d11_with_a_copy_of_the_epoch_slot_the_deleted_is_opened(tmp_path: Path) -> None:
    async with a_town(tmp_path, 1) as town:
        victim = await town.move_in()
        town.copy(epoch_slot=True)
        await town.move_out(victim)
        await town.house.clock.advance(LIMIT)
        town.copy(epoch_slot=True)
        assert town.opens(victim)


async def test_d11_until_the_roll_an_old_copy_opens_the_deleted(tmp_path: Path) -> None:
    async with a_town(tmp_path, 1) as town:
        victim = await town.move_in()
        town.copy()
        await town.move_out(victim)
        town.copy(epoch_slot=True)
        assert town.opens(victim)


async def test_d11_without_an_old_copy_nothing_is_opened_even_before_the_roll(
    tmp_path: Path,
) -> None:
    async with a_town(tmp_path, 1) as town:
        victim = await town.move_in()
        await town.move_out(victim)
        town.copy(epoch_slot=True)
        assert not town.opens(victim)


async def test_d11_tokens_messages_and_calls_of_the_deleted_are_out_of_reach_as_well(
    tmp_path: Path,
) -> None:
    async with a_town(tmp_path, 1) as town:
        victim, stayer = await town.move_in(), await town.move_in()
        kinds = {"message": b"text of a message", "call": b"name of a caller"}
        for enabled in (victim, stayer):
            for purpose, text in kinds.items():
                town.thief.items.add((purpose, "1"))
                town.thief.records.add(
                    town.house.vault.seal_content(enabled.row, purpose, "1", text)
                )
        town.copy()
        await town.move_out(victim)
        await town.house.clock.advance(LIMIT)
        town.copy(epoch_slot=True)
        assert town.thief.read(victim.row.id) == set()
        read = town.thief.read(stayer.row.id)
        assert all(any(text in one for one in read) for text in kinds.values())
        assert len(read) == 2 + len(kinds)  # account and targets besides
