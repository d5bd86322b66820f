import sqlite3
from pathlib import Path

import pytest

from sipis.errors import StoreError
from sipis.store import instances, registrars
from sipis.store.checkpoint import truncate_logs
from sipis.store.registrars import MOST_REFUSALS, MOST_SOURCES, Standing
from tests.support.store import DAY, NOW, new_instance

KEY = "example.org"


def test_a_registrar_has_as_many_instances_as_joined_and_not_left(
    conn: sqlite3.Connection,
) -> None:
    number = registrars.join(conn, KEY)
    assert registrars.join(conn, KEY) == number
    registrars.leave(conn, number)
    found = registrars.get(conn, KEY)
    assert found is not None
    assert (found.key, found.instances) == (KEY, 1)
    assert registrars.in_use(conn) == [found]


def test_the_last_instance_takes_name_and_addresses_with_it(
    conn: sqlite3.Connection, directory: Path
) -> None:
    number = registrars.join(conn, "marker.example")
    registrars.learn(conn, "marker.example", ["192.0.2.1"], NOW)
    registrars.leave(conn, number)
    assert truncate_logs(conn)
    assert registrars.in_use(conn) == []
    assert registrars.sources(conn, "marker.example") == ()
    assert b"marker" not in (directory / "sipis.db").read_bytes()


def test_what_is_owed_to_a_registrar_outlives_its_last_instance(conn: sqlite3.Connection) -> None:
    number = registrars.join(conn, KEY)
    registrars.pause(conn, KEY, NOW + 300)
    registrars.set_min_expires(conn, KEY, 1800)
    registrars.leave(conn, number)
    registrars.join(conn, KEY)
    found = registrars.get(conn, KEY)
    assert found is not None
    assert (found.key, found.paused_until, found.min_expires) == (KEY, NOW + 300, 1800)


def test_a_nameless_registrar_is_forgotten_when_its_pause_is_over(
    conn: sqlite3.Connection,
) -> None:
    registrars.leave(conn, registrars.join(conn, KEY))
    registrars.pause(conn, KEY, NOW + 300)
    registrars.forget_unused(conn, NOW, DAY)
    assert registrars.find(conn, KEY) is not None
    registrars.forget_unused(conn, NOW + 301, DAY)
    assert registrars.find(conn, KEY) is None


def test_a_registrar_in_use_is_never_forgotten(conn: sqlite3.Connection) -> None:
    instances.insert(conn, new_instance())
    registrars.forget_unused(conn, NOW + 10 * DAY, DAY)
    assert registrars.find(conn, KEY) is not None


def test_a_key_of_more_than_256_bytes_is_refused(conn: sqlite3.Connection) -> None:
    with pytest.raises(StoreError, match="256"):
        registrars.join(conn, "x" * 257)


def test_learnt_addresses_are_kept_newest_first(conn: sqlite3.Connection) -> None:
    registrars.join(conn, KEY)
    registrars.learn(conn, KEY, ["192.0.2.1", "192.0.2.2"], NOW)
    registrars.learn(conn, KEY, ["2001:db8::1", "192.0.2.1"], NOW + 1)
    assert registrars.sources(conn, KEY) == ("192.0.2.1", "2001:db8::1", "192.0.2.2")


def test_addresses_do_not_grow_without_bound(conn: sqlite3.Connection) -> None:
    registrars.join(conn, KEY)
    for number in range(MOST_SOURCES + 5):
        registrars.learn(conn, KEY, [f"192.0.2.{number}"], NOW + number)
    kept = registrars.sources(conn, KEY)
    assert len(kept) == MOST_SOURCES
    assert kept[0] == f"192.0.2.{MOST_SOURCES + 4}"
    assert "192.0.2.0" not in kept


def test_nothing_is_learnt_of_a_registrar_that_nobody_uses(conn: sqlite3.Connection) -> None:
    registrars.learn(conn, KEY, ["192.0.2.1"], NOW)
    registrars.pause(conn, KEY, NOW)
    assert registrars.get(conn, KEY) is None
    assert registrars.sources(conn, KEY) == ()


def test_the_standing_with_an_address_outlives_a_restart(conn: sqlite3.Connection) -> None:
    held = Standing(paused_until=NOW + 60, trips=3, refused_at=(NOW - 20, NOW - 10))
    registrars.note_standing(conn, "192.0.2.1:5060", Standing(trips=1), NOW)
    registrars.note_standing(conn, "192.0.2.1:5060", held, NOW)
    assert registrars.standing(conn, "192.0.2.1:5060") == held
    assert registrars.standing(conn, "192.0.2.2:5060") == Standing()


def test_of_many_refusals_the_newest_are_kept(conn: sqlite3.Connection) -> None:
    refused = tuple(NOW + number for number in range(MOST_REFUSALS + 4))
    registrars.note_standing(conn, "a", Standing(refused_at=refused), NOW)
    assert registrars.standing(conn, "a").refused_at == refused[4:]


def test_an_old_standing_is_forgotten(conn: sqlite3.Connection) -> None:
    registrars.note_standing(conn, "a", Standing(trips=1), NOW)
    registrars.forget_unused(conn, NOW + DAY, DAY)
    assert registrars.standing(conn, "a").trips == 1
    registrars.forget_unused(conn, NOW + DAY + 1, DAY)
    assert registrars.standing(conn, "a") == Standing()
