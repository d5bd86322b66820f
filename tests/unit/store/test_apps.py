import sqlite3

from sipis.store import apps
from sipis.store.apps import AppCount


def test_an_app_keeps_its_number(conn: sqlite3.Connection) -> None:
    first = apps.number(conn, "phone")
    assert apps.number(conn, "desk") != first
    assert apps.number(conn, "phone") == first


def test_counts_go_up_and_down(conn: sqlite3.Connection) -> None:
    number = apps.number(conn, "phone")
    apps.count(conn, number, instances=2, targets=3)
    apps.count(conn, number, instances=-1, targets=-1)
    assert apps.counts(conn) == {"phone": AppCount(1, 2)}
