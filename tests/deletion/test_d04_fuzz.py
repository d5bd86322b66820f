"""D4: after many random lives and one tidy, no file holds a byte of those that ended."""

import os
import random

import pytest

from sipis.store import maintenance
from sipis.store.lookup import sealed
from sipis.vault.place import RECORD_SIZES
from tests.deletion.conftest import Estate, Tenant

OPERATIONS = int(os.environ.get("DELETION_OPERATIONS", "600"))
DAY = 86_400.0


@pytest.mark.timeout(60 + OPERATIONS / 2)
async def test_d4_after_a_fuzz_and_a_tidy_nothing_of_the_ended_is_left(estate: Estate) -> None:
    chance, house = random.Random(OPERATIONS), estate.house
    living: list[Tenant] = []
    ended: list[Tenant] = []
    for _ in range(OPERATIONS):
        deed = chance.random()
        if deed < 0.4 or not living:
            living.append(await estate.let())
        elif deed < 0.6:
            tenant = chance.choice(living)
            row = await house.row(tenant.enabled)
            assert row is not None
            assert await house.lifecycle.refresh(row, None, ()) is not None
            await estate.learn(tenant)
        else:
            tenant = living.pop(chance.randrange(len(living)))
            assert await house.lifecycle.delete(tenant.enabled.row.id) is not None
            ended.append(tenant)
    assert await maintenance.tidy(house.store, house.clock.wall(), receipts_kept=DAY)
    assert len(ended) > OPERATIONS / 5
    assert estate.traces(ended) == []
    for tenant in living:
        kept = await house.store.read(sealed, tenant.enabled.row.n, house.clock.wall())
        assert kept is not None
        assert {len(kept.credential), len(kept.targets)} <= set(RECORD_SIZES)
