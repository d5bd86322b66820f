"""D8: ten thousand instances with one deadline."""

import asyncio
import os
import time

import pytest

from sipis.store import slots
from sipis.store.lookup import InstanceRow
from tests.support.lifecycle import House

COUNT = int(os.environ.get("EXPIRIES", "2000"))
BUSY = 1 if COUNT >= 10_000 else 10
"""How much slower a machine may be that runs other tests beside."""
KEYS, ALL = 0.5 * BUSY, 5.0 * BUSY
"""Seconds from the deadline."""


@pytest.mark.timeout(600)
async def test_d8_one_deadline_for_thousands(house: House) -> None:
    rows: list[InstanceRow] = []
    for _ in range(COUNT):
        rows.append((await house.enable(targets=(), ttl=3600.0)).row)
    deadline = max(row.expires_at for row in rows)
    gone_at: list[float] = []
    original = house.vault.destroy

    async def timed(owners: object) -> None:
        began = time.perf_counter()
        await original(owners)  # type: ignore[arg-type]
        gone_at.append(time.perf_counter() - began)

    house.vault.destroy = timed  # type: ignore[method-assign]
    began = time.perf_counter()
    await house.clock.advance(deadline - house.clock.wall() + 1.0)
    while await house.store.read(slots.expired_holders, house.clock.wall(), 1):  # noqa: ASYNC110
        await asyncio.sleep(0)  # the clock of the house stands still meanwhile
    took = time.perf_counter() - began
    assert not any(house.vault.holds(row) for row in rows)
    assert took < ALL
    assert sum(gone_at) < KEYS
