import sqlite3

from sipis.store import agenda, instances, registrars, schedule
from sipis.store.columns import NEVER, to_ms
from tests.support.store import NOW, new_instance, registered


def test_the_first_sequence_number_has_the_width_of_all_later_ones(
    conn: sqlite3.Connection,
) -> None:
    """Three-byte numbers end at 2**23, four-byte ones at 2**31, which is also the limit of CSeq."""
    instances.insert(conn, new_instance())
    (claim,) = schedule.claim(conn, NOW, limit=1)
    assert 1 << 23 <= claim.cseq < 1 << 31


def test_a_restarted_row_forgets_what_its_last_registration_left(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    (claim,) = schedule.claim(conn, NOW, limit=1)
    schedule.settle(conn, [registered(claim, binding=schedule.Binding("nonce"), flow=7)], NOW)
    number = registrars.find(conn, "example.org")
    assert number is not None
    agenda.restart(conn, n, number, "ab" * 16, NOW + 5)
    assert schedule.binding(conn, n) == schedule.Binding()
    (again,) = schedule.claim(conn, NOW + 5, limit=1)
    assert (again.call_id, again.bound_until, again.granted) == ("ab" * 16, None, 0)
    assert again.cseq > claim.cseq


def test_registrars_learn_the_earliest_of_several_rows(conn: sqlite3.Connection) -> None:
    number = registrars.join(conn, "example.org")
    rows = conn.execute(
        "SELECT ?1 AS registrar, ?2 AS next_attempt_at UNION ALL SELECT ?1, ?3",
        (number, to_ms(NOW + 50), to_ms(NOW + 20)),
    ).fetchall()
    agenda.note_due(conn, rows)
    found = registrars.get(conn, "example.org")
    assert found is not None
    assert found.next_due_at == NOW + 20


def test_a_row_that_is_never_due_leaves_its_registrar_alone(conn: sqlite3.Connection) -> None:
    number = registrars.join(conn, "example.org")
    rows = conn.execute("SELECT ? AS registrar, ? AS next_attempt_at", (number, NEVER)).fetchall()
    agenda.note_due(conn, rows)
    assert schedule.next_due(conn, NOW) is None
