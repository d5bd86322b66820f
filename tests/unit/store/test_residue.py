"""After an erasure and a checkpoint no file holds a byte of what was erased."""

import random
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from sipis.model import CallState, DeletionReason, InstanceId
from sipis.store import calls, erasure, gone, instances, messages, receipts, registrars, schedule
from sipis.store.calls import CallRow
from sipis.store.checkpoint import truncate_logs
from sipis.store.columns import NEVER
from sipis.store.erasure import Erasure
from sipis.store.instances import NewInstance, Replacement
from sipis.store.messages import NewMessage
from sipis.store.receipts import Receipt
from sipis.store.schedule import Binding
from tests.support.store import DAY, NOW, digest, new_instance, new_target, registered

VARYING_BY_DESIGN = {"apps", "sqlite_sequence", "sqlite_stat1"}
"""Tables without anything of an instance."""


class Marked:
    """An instance of which every value is a marker: random bytes that occur nowhere else."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self.markers: list[bytes] = []
        self._chance = chance
        self.new: NewInstance = new_instance(
            number,
            id=InstanceId(self._hex()),
            secret_hash=self._mark(32),
            sealed_credential=self._mark(16) * chance.choice([5, 34, 60]),
            sealed_targets=self._mark(16) * chance.choice([20, 34, 100]),
            contact_token=self._hex(),
            call_id=self._hex(),
            relay_user=self._hex(),
            registrar=f"{self._text()}.example",
            aor_index=self._mark(32),
            idempotency_key=self._mark(32),
            targets=(new_target(0, index=self._mark(32)),),
        )
        self.message = self._mark(16) * chance.choice([10, 60, 400])
        self.call = self._mark(16) * 30
        self.binding = Binding(self._text(), (f"<sip:{self._text()}>",), self._text())
        self.replacement = Replacement(
            number + 1000, 2, self._mark(16) * 40, self._mark(16) * 10, (new_target(1),)
        )
        self.source = self._text()

    def kept_in_a_tombstone(self) -> set[bytes]:
        """The hashes by which a repeated request is recognised for a day."""
        id = bytes.fromhex(self.new.id)  # noqa: A001
        return {id, self.new.secret_hash, self.new.idempotency_key or b""}

    def _mark(self, size: int) -> bytes:
        self.markers.append(self._chance.randbytes(size))
        return self.markers[-1]

    def _hex(self) -> str:
        return self._mark(16).hex()

    def _text(self) -> str:
        text = f"marker{self._chance.getrandbits(96):024x}"
        self.markers.append(text.encode())
        return text


def live_through(conn: sqlite3.Connection, marked: Marked) -> int:
    """Create, register, receive a message and a call, replace."""
    conn.execute("BEGIN")
    n = instances.insert(conn, marked.new)
    registrars.learn(conn, marked.new.registrar, [marked.source], NOW)
    for claim in schedule.claim(conn, NOW, limit=100):
        schedule.settle(conn, [registered(claim, binding=marked.binding)], NOW)
    messages.add(
        conn,
        NewMessage(n, marked.new.id, marked.new.secret_hash, NOW, NOW + DAY, marked.message),
        most=9,
    )
    uuid = f"00000000-0000-4000-8000-{n:012x}"
    calls.save(conn, CallRow(n, uuid, CallState.RINGING, NOW, None, NOW + DAY, marked.call))
    instances.replace(conn, n, marked.replacement, NOW + 1)
    conn.execute("COMMIT")
    return n


def erase(conn: sqlite3.Connection, ns: Iterable[int]) -> None:
    receipt = Receipt(digest(7), DeletionReason.DISABLED, NOW + 2, "{}")
    conn.execute("BEGIN")
    erasure.erase(conn, [Erasure(n, receipt) for n in ns], tombstone_ttl=60)
    conn.execute("COMMIT")


def found(directory: Path, markers: Iterable[bytes]) -> list[bytes]:
    files = [path.read_bytes() for path in directory.iterdir()]
    return [marker for marker in markers if any(marker in file for file in files)]


def test_markers_are_found_while_the_instance_lives(
    conn: sqlite3.Connection, directory: Path
) -> None:
    """The control of this page: the scan sees what is there."""
    marked = Marked(random.Random(1), 0)
    live_through(conn, marked)
    truncate_logs(conn)
    there = found(directory, marked.markers)
    assert len(there) >= len(marked.markers) - 3  # two replaced records and a replaced token
    assert marked.new.secret_hash in there


@pytest.mark.parametrize("seed", range(3))
def test_d1_nothing_of_erased_instances_is_left_in_any_file(
    conn: sqlite3.Connection, directory: Path, seed: int
) -> None:
    """Mixed lives and deaths in random order, so that pages split, merge and free."""
    chance = random.Random(seed)
    living: dict[int, Marked] = {}
    erased: list[Marked] = []
    for number in range(60):
        marked = Marked(chance, number)
        living[live_through(conn, marked)] = marked
        if chance.random() < 0.5:
            victims = chance.sample(sorted(living), min(len(living), chance.randint(1, 2)))
            erase(conn, victims)
            erased += [living.pop(n) for n in victims]
    assert truncate_logs(conn)
    markers = {marker for one in erased for marker in one.markers}
    kept = {marker for one in erased for marker in one.kept_in_a_tombstone()}
    sources = {one.source.encode() for one in erased}
    assert found(directory, markers - kept - sources) == []
    assert len(erased) > 20
    assert len(living) > 5


def test_nothing_at_all_is_left_when_tombstones_and_grants_are_over(
    conn: sqlite3.Connection, directory: Path
) -> None:
    chance = random.Random(9)
    marked = [Marked(chance, number) for number in range(10)]
    erase(conn, [live_through(conn, one) for one in marked])
    gone.purge(conn, NOW + 2 * DAY)
    receipts.purge(conn, NOW + 2 * DAY)
    conn.execute("DELETE FROM pending_destroy")
    conn.execute("VACUUM varying")
    assert truncate_logs(conn)
    assert found(directory, {marker for one in marked for marker in one.markers}) == []


def width(value: int | bytes | str) -> int:
    """Bytes that SQLite gives a value (file format, 2.1)."""
    if not isinstance(value, int):
        return len(value)
    if value in {0, 1}:
        return 0
    return min(size for size in (1, 2, 3, 4, 6, 8) if value.bit_length() < 8 * size)


def test_d4_the_rows_of_each_table_have_one_length_through_their_whole_life(
    conn: sqlite3.Connection,
) -> None:
    lengths: dict[str, set[int]] = {}
    chance = random.Random(4)
    observe(conn, lengths)
    ns = [live_through(conn, Marked(chance, number)) for number in range(5)]
    observe(conn, lengths)
    instances.mark_warned(conn, ns)
    conn.execute("UPDATE schedule SET held_until = ?", (NEVER,))
    observe(conn, lengths)
    erase(conn, ns[:3])
    observe(conn, lengths)
    varying = {table: sizes for table, sizes in lengths.items() if len(sizes) > 1}
    assert varying == {}
    assert len(lengths) > 12


def observe(conn: sqlite3.Connection, lengths: dict[str, set[int]]) -> None:
    """Note how long the rows of every table are now."""
    tables = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for table in {row["name"] for row in tables} - VARYING_BY_DESIGN:
        for row in conn.execute(f"SELECT * FROM {table}").fetchall():
            lengths.setdefault(table, set()).add(sum(map(width, row)))
