import sqlite3

import pytest

from sipis.model import DeletionReason
from sipis.store import receipts
from sipis.store.receipts import Receipt
from tests.support.store import NOW, digest


@pytest.mark.parametrize("reason", list(DeletionReason))
def test_a_receipt_is_found_by_its_commitment(
    conn: sqlite3.Connection, reason: DeletionReason
) -> None:
    receipt = Receipt(digest(1), reason, NOW, '{"signed": "…"}')
    receipts.put(conn, receipt)
    assert receipts.get(conn, digest(1)) == receipt
    assert receipts.get(conn, digest(2)) is None


def test_a_later_receipt_of_the_same_commitment_takes_its_place(conn: sqlite3.Connection) -> None:
    receipts.put(conn, Receipt(digest(1), DeletionReason.REPLACED, NOW, "first"))
    later = Receipt(digest(1), DeletionReason.DISABLED, NOW + 1, "second")
    receipts.put(conn, later)
    assert receipts.get(conn, digest(1)) == later


def test_old_receipts_are_purged_with_their_documents(conn: sqlite3.Connection) -> None:
    for number in range(3):
        receipts.put(conn, Receipt(digest(number), DeletionReason.DISABLED, NOW + number, "x"))
    assert receipts.purge(conn, NOW + 2, limit=1) == 1
    assert receipts.purge(conn, NOW + 2) == 1
    assert receipts.get(conn, digest(0)) is None
    assert receipts.get(conn, digest(2)) is not None
    assert conn.execute("SELECT count(*) FROM records").fetchone()[0] == 1
