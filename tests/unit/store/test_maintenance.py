from pathlib import Path

import pytest

from sipis.model import DeletionReason
from sipis.store import gone, maintenance, receipts, registrars
from sipis.store.columns import NO_HASH
from sipis.store.gone import Tombstone
from sipis.store.inline import InlineRunner
from sipis.store.receipts import Receipt
from tests.support.store import DAY, NOW, digest, new_instance


async def test_a_night_removes_what_is_past_its_time_and_keeps_the_rest(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "AT_ONCE", 3)
    store = InlineRunner(directory)
    for number in range(8):
        stone = Tombstone(new_instance(number).id, digest(1), digest(2), NOW)
        await store.write(gone.bury, stone, NO_HASH, NOW + (60 if number else 3 * DAY))
    await store.write(receipts.put, Receipt(digest(1), DeletionReason.EXPIRED, NOW))
    await store.write(receipts.put, Receipt(digest(2), DeletionReason.EXPIRED, NOW + DAY))
    await store.write(registrars.note_standing, "a", registrars.Standing(trips=1), NOW - DAY)
    assert await maintenance.tidy(store, NOW + DAY + 1, receipts_kept=DAY)
    left = await store.read(
        lambda conn: [
            conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("tombstones", "receipts", "standings")
        ]
    )
    assert left == [1, 1, 0]
    await store.close()
