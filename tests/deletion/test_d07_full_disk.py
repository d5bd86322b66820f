"""D7: where the disk or the database takes nothing, DELETE still destroys the key and answers."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.errors import KeyGone, StoreError
from sipis.model import DeletionReason
from sipis.store import leaves, lookup
from tests.deletion.conftest import Estate
from tests.support.lifecycle import build, order, running, settings

SIZE = "12m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; where none can be mounted the test is skipped."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take every free byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 512, 1):
            try:
                while file.write(os.urandom(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


async def test_d7_on_a_full_disk_the_key_dies_and_row_and_leaf_follow_within_a_minute_of_space(
    disk: Path, tmp_path: Path
) -> None:
    clock = ManualClock()
    house = build(disk / "data", clock, settings(tmp_path))
    async with running(house):
        estate = Estate(house)
        tenants = [await estate.let() for _ in range(20)]
        tenant = tenants[7]
        row = tenant.enabled.row
        sealed = await house.store.read(lookup.sealed, row.n, clock.wall())
        assert sealed is not None
        assert await house.store.checkpoint()
        told = await house.store.read(leaves.size)
        ballast = fill(disk)
        deleted = await house.lifecycle.disable(row.id, tenant.enabled.secret)
        assert deleted is not None
        assert deleted.pending
        with pytest.raises(KeyGone):
            house.vault.open_account(sealed)
        with pytest.raises(StoreError):
            await house.lifecycle.enable(order())
        assert all(house.vault.holds(it.enabled.row) for it in tenants if it is not tenant)
        ballast.unlink()
        await clock.advance(61)
        assert await house.row(tenant.enabled) is None
        assert await house.store.read(leaves.size) > told
        assert estate.traces(tenant) == []
        assert await house.lifecycle.receipt(row.commitment) is not None


async def test_d7_the_epoch_rolls_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    house = build(disk / "data", ManualClock(), settings(tmp_path))
    async with running(house):
        tenant = await Estate(house).let()
        ballast = fill(disk)
        await house.vault.destroy([tenant.enabled.row])
        rolled = await house.vault.roll()
        assert rolled.after == rolled.before + 1
        ballast.unlink()


@pytest.mark.parametrize("reason", DeletionReason)
async def test_d7_on_a_read_only_database_the_key_dies_and_row_and_leaf_follow(
    estate: Estate, reason: DeletionReason
) -> None:
    house = estate.house
    tenant, stayer = await estate.let(), await estate.let()
    row = tenant.enabled.row
    told = await house.store.read(leaves.size)
    house.store._connection.execute("PRAGMA query_only = 1")
    (deleted,) = await house.lifecycle._destruction.destroy([row], reason)
    assert deleted.pending
    assert not house.vault.holds(row)
    assert house.vault.holds(stayer.enabled.row)
    with pytest.raises(StoreError, match="READONLY"):
        await house.lifecycle.enable(order())
    house.store._connection.execute("PRAGMA query_only = 0")
    await house.clock.advance(61)
    assert await house.row(tenant.enabled) is None
    assert await house.store.read(leaves.size) == told + 1
    assert estate.traces(tenant) == []
    receipt = await house.lifecycle.receipt(row.commitment)
    assert receipt is not None
    assert receipt.reason is reason
