"""What a roll of the epoch takes: with one deletion, with one in a hundred, and the bare change."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.control import fdatasync_times
from bench.report import Figure, Target, quantile
from sipis.config import KeysSettings
from sipis.model import InstanceId
from sipis.vault import Vault
from sipis.vault.slots import DataKeys

SIZES = 10_000, 100_000, 1_000_000
SIZES_QUICK = 10_000, 100_000
ROUNDS = 15
SYNCS = 300

Held = tuple[int, InstanceId]


def run(*, quick: bool = False) -> Iterator[Figure]:
    """The figures of every size, each beside the raw fdatasync of the same disk and minute."""
    for size in SIZES_QUICK if quick else SIZES:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            yield from _figures(Path(name), size)


def _figures(folder: Path, size: int) -> Iterator[Figure]:
    sync = quantile(fdatasync_times(folder, SYNCS), 0.5)
    vault = Vault.open(KeysSettings(), folder, environment={})
    held = _fill(vault, size)
    try:
        many = f"{size:,} instances"
        bare = [asyncio.run(_roll(vault, [])) for _ in range(ROUNDS)]
        one = [asyncio.run(_roll(vault, [held.pop(len(held) // 2)])) for _ in range(ROUNDS)]
        swept = held[::100]
        everywhere = asyncio.run(_roll(vault, swept))
        slot = [_put_epoch(vault) for _ in range(ROUNDS)]
    finally:
        vault.close()
    fast = Target(most=60_000)
    yield _figure(f"roll, {many}, nothing deleted", bare, sync)
    yield _figure(f"roll, {many}, one deleted", one, sync)
    yield Figure(
        f"roll, {many}, {len(swept):,} deleted all over", everywhere, "ms", sync, "fdatasync", fast
    )
    yield _figure(f"epoch slot written and effaced, {many}", slot, sync)


def _figure(name: str, times: list[float], sync: float) -> Figure:
    return Figure(f"{name}, p50", quantile(times, 0.5), "ms", sync, "fdatasync")


def _fill(vault: Vault, count: int) -> list[Held]:
    """So many slots in use, written without a sync each."""
    slots, keys = vault._keys.slots, DataKeys(os.urandom(32), os.urandom(32))
    holders = [InstanceId(os.urandom(16).hex()) for _ in range(count)]
    held = [(slots.write(holder, keys), holder) for holder in holders]
    slots.sync()
    return held


async def _roll(vault: Vault, doomed: list[Held]) -> float:
    """Milliseconds of a roll after these were destroyed."""
    if doomed:
        await vault._keys.erase(doomed)
    began = time.perf_counter()
    await vault.roll()
    return (time.perf_counter() - began) * 1e3


def _put_epoch(vault: Vault) -> float:
    """Milliseconds of both writes to the epoch slot, as a roll makes them."""
    slot = vault._keys._epoch_slot
    began = time.perf_counter()
    slot.put(slot.epoch)
    slot.efface_other()
    return (time.perf_counter() - began) * 1e3
