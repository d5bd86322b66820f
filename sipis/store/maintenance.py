"""Nightly work: rows past their time go, the varying file is rewritten, the logs are emptied.

Refuses to erase instances: their end has one path, and it is not here.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from sipis.store import calls, gone, messages, receipts, registrars
from sipis.store.runner import Store

AT_ONCE: Final = 500
"""Rows per job, so that no registration waits long behind a purge."""

STANDING_KEPT: Final = 86_400.0


async def purge(store: Store, now: float, *, receipts_kept: float) -> None:
    """Remove messages, calls, tombstones and gone contacts past their time, and old receipts.

    `receipts_kept` is how many seconds a receipt stays.
    """
    past_time: tuple[Callable[[sqlite3.Connection, float, int], int], ...] = (
        messages.purge,
        calls.purge,
        gone.purge,
    )
    for removed in past_time:
        await _until_done(store, removed, now)
    await _until_done(store, receipts.purge, now - receipts_kept)
    await store.write(registrars.forget_unused, now, STANDING_KEPT)


async def tidy(store: Store, now: float, *, receipts_kept: float) -> bool:
    """The whole night's work; False when readers kept the logs from being emptied."""
    await purge(store, now, receipts_kept=receipts_kept)
    await store.vacuum()
    return await store.checkpoint()


async def _until_done(
    store: Store, job: Callable[[sqlite3.Connection, float, int], int], moment: float
) -> None:
    while await store.write(job, moment, AT_ONCE) >= AT_ONCE:
        pass
