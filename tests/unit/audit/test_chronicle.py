import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.audit import chronicle
from sipis.audit.leaf import Kind, Leaf
from sipis.audit.merkle import leaf_hash
from sipis.audit.note import Head
from sipis.audit.verifier.tree import GrowingTree, root_by_path
from sipis.store import leaves
from sipis.store.runner import open_migrated
from tests.support.tlog import DAY, NOW, birth, death, is_consistent, lives, name


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_migrated(tmp_path)
    yield connection
    connection.close()


def roots(conn: sqlite3.Connection) -> list[Head]:
    return [chronicle.head(conn, size) for size in range(leaves.size(conn) + 1)]


def test_l1_each_event_is_one_leaf_with_the_next_number(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, [birth(1), birth(2)])
    chronicle.append(conn, [death(1)])
    found = leaves.lines(conn, 0, 10)
    assert [it.seq for it in found] == [0, 1, 2]
    assert leaves.totals(conn)[Kind.CREATE] == 2
    assert leaves.totals(conn)[Kind.DESTROYED] == 1


def test_l1_a_leaf_falls_with_its_transaction(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, [birth(1)])
    before = chronicle.head(conn)
    conn.execute("BEGIN")
    chronicle.append(conn, [death(1)] * 40)
    conn.execute("ROLLBACK")
    assert chronicle.head(conn) == before
    assert chronicle.find_end(conn, name(1), None) is None


def test_l5_kept_subtrees_give_the_root_of_all_leaves(conn: sqlite3.Connection) -> None:
    chance, grown = random.Random(7), GrowingTree()
    for batch in range(60):
        chronicle.append(conn, lives(chance, chance.randrange(1, 40)))
        for line in leaves.lines(conn, grown.size, 100):
            assert line.hash == leaf_hash(line.text or b"")
            grown.add(line.hash)
        assert chronicle.head(conn) == Head(grown.size, grown.root()), batch


def test_the_end_of_an_instance_is_found_and_proven(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, [birth(number) for number in range(300)])
    chronicle.append(conn, [death(42), *(birth(number) for number in range(300, 333))])
    found = chronicle.find_end(conn, name(42), None)
    assert found is not None
    assert found.head == chronicle.head(conn)
    for size in (301, 320, 334):
        head = chronicle.head(conn, size)
        path = chronicle.prove(conn, found, head).path
        assert root_by_path(leaf_hash(found.line), found.seq, size, path) == head.root


def test_an_end_is_proven_in_the_head_that_is_signed_if_it_is_in_it(
    conn: sqlite3.Connection,
) -> None:
    chronicle.append(conn, [birth(1), death(1), birth(2), birth(3)])
    covering, before = chronicle.head(conn, 3), chronicle.head(conn, 1)
    for signed, expected in ((covering, covering), (before, chronicle.head(conn))):
        found = chronicle.find_end(conn, name(1), signed)
        assert found is not None
        assert found.head == expected


def test_a_life_that_goes_on_has_no_end(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, [birth(1)])
    assert chronicle.find_end(conn, name(1), None) is None


def test_every_state_is_proven_to_continue_every_earlier_one(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, lives(random.Random(1), 70))
    states = roots(conn)
    for old in states[1:]:
        for new in states[old.size :]:
            path = chronicle.consistency(conn, old.size, new.size)
            assert is_consistent((old.size, old.root), (new.size, new.root), path)


def test_lines_are_dropped_after_their_time_and_the_tree_stands(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, [birth(number, NOW - 2 * DAY) for number in range(20)])
    chronicle.append(conn, [birth(20)])
    before = roots(conn)
    assert chronicle.drop_older(conn, NOW - DAY) == 20
    assert chronicle.drop_older(conn, NOW - DAY) == 0
    assert [it.text is None for it in leaves.lines(conn, 0, 30)] == [True] * 20 + [False]
    assert roots(conn) == before


def test_a_census_counts_in_its_own_transaction(conn: sqlite3.Connection) -> None:
    chronicle.census(conn, NOW)
    assert b'"count":0' in (leaves.newest(conn, Kind.CENSUS) or b"")


def test_nothing_to_tell_is_no_leaf(conn: sqlite3.Connection) -> None:
    chronicle.append(conn, [])
    assert leaves.size(conn) == 0


def test_the_software_names_itself_by_a_hash() -> None:
    assert len(chronicle.software()) == 16
    int(chronicle.software(), 16)
    assert Leaf(Kind.CONFIG, NOW, notice="started").line(0, chronicle.software())


@pytest.mark.parametrize(
    ("late", "name"), [(0, "in time"), (1, "1 s"), (3, "2-5 s"), (60, "6-60 s"), (61, "over 60 s")]
)
def test_lateness_falls_into_classes(late: int, name: str) -> None:
    assert chronicle.lateness_class(late) == name
