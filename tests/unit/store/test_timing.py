import math
import sqlite3

import pytest

from sipis.model import InstanceState
from sipis.store import instances, lookup, schedule, timing
from sipis.store.schedule import Claim
from tests.support.store import NOW, new_instance, registered

LATER = NOW + 100


@pytest.fixture
def n(conn: sqlite3.Connection) -> int:
    """An instance whose binding is good for an hour and due after half of it."""
    number = instances.insert(conn, new_instance())
    schedule.settle(conn, [registered(claim) for claim in due(conn, NOW)], NOW)
    return number


def due(conn: sqlite3.Connection, now: float) -> list[Claim]:
    return schedule.claim(conn, now, limit=100)


def next_attempt(conn: sqlite3.Connection, n: int) -> float | None:
    row = lookup.by_n(conn, n, NOW)
    assert row is not None
    return row.next_attempt_at


def refuse(conn: sqlite3.Connection, n: int) -> None:
    """Let the registrar refuse the account for good."""
    timing.make_due(conn, [n], NOW)
    (claim,) = due(conn, NOW)
    stop = registered(claim, next_attempt_at=None, state=InstanceState.UNAUTHORIZED)
    schedule.settle(conn, [stop], NOW)


def test_a_held_registration_is_due_when_the_lease_ends(conn: sqlite3.Connection, n: int) -> None:
    timing.hold(conn, n, LATER)
    assert due(conn, LATER - 1) == []
    assert [claim.n for claim in due(conn, LATER)] == [n]


def test_a_renewed_lease_puts_it_off(conn: sqlite3.Connection, n: int) -> None:
    timing.hold(conn, n, LATER)
    timing.hold(conn, n, LATER + 50)
    assert due(conn, LATER) == []
    assert schedule.next_due(conn, LATER) == LATER + 50
    assert [claim.n for claim in due(conn, LATER + 50)] == [n]


def test_a_hold_without_end_lasts_until_the_app_gives_it_back(
    conn: sqlite3.Connection, n: int
) -> None:
    timing.hold(conn, n, math.inf)
    held = lookup.by_n(conn, n, NOW)
    assert held is not None
    assert held.foreground_until == math.inf
    assert due(conn, NOW + 80_000) == []
    timing.release(conn, n, NOW + 80_000)
    assert [claim.n for claim in due(conn, NOW + 80_000)] == [n]


def test_a_register_under_way_is_settled_into_the_hold(conn: sqlite3.Connection, n: int) -> None:
    timing.make_due(conn, [n], NOW)
    (claim,) = due(conn, NOW)
    timing.hold(conn, n, LATER)
    assert schedule.settle(conn, [registered(claim)], NOW + 1).counted == {n}
    assert next_attempt(conn, n) == LATER


def test_a_claim_that_got_lost_during_a_hold_waits_for_its_end(
    conn: sqlite3.Connection, n: int
) -> None:
    timing.make_due(conn, [n], NOW)
    schedule.claim(conn, NOW, limit=1, in_flight_for=10)
    timing.hold(conn, n, LATER)
    assert due(conn, NOW + 20) == []
    assert [claim.n for claim in due(conn, LATER)] == [n]


def test_a_claim_that_was_given_up_leaves_the_hold_free_to_end(
    conn: sqlite3.Connection, n: int
) -> None:
    timing.make_due(conn, [n], NOW)
    schedule.claim(conn, NOW, limit=1, in_flight_for=180)
    timing.hold(conn, n, math.inf)
    timing.interrupt(conn, n)
    assert due(conn, NOW + 1000) == []
    timing.release(conn, n, NOW + 1)
    assert [claim.n for claim in due(conn, NOW + 1)] == [n]


def test_a_wake_makes_it_due_now(conn: sqlite3.Connection, n: int) -> None:
    timing.make_due(conn, [n], NOW + 5)
    assert next_attempt(conn, n) == NOW + 5


def test_a_wake_during_a_register_makes_it_due_when_that_is_settled(
    conn: sqlite3.Connection, n: int
) -> None:
    timing.make_due(conn, [n], NOW)
    (claim,) = due(conn, NOW)
    timing.make_due(conn, [n], NOW + 1)
    assert due(conn, NOW + 1) == []
    schedule.settle(conn, [registered(claim)], NOW + 2)
    assert next_attempt(conn, n) == NOW + 2


def test_a_wake_does_not_break_a_hold(conn: sqlite3.Connection, n: int) -> None:
    timing.hold(conn, n, LATER)
    timing.make_due(conn, [n], NOW + 1)
    assert next_attempt(conn, n) == LATER


def test_what_was_refused_for_good_is_revived_by_nothing_here(
    conn: sqlite3.Connection, n: int
) -> None:
    refuse(conn, n)
    timing.make_due(conn, [n], NOW)
    timing.hold(conn, n, LATER)
    timing.release(conn, n, NOW)
    timing.rebind(conn, NOW, after=0, limit=10, spread=5)
    assert next_attempt(conn, n) is None


def test_bindings_on_a_lost_connection_become_due_within_the_spread(
    conn: sqlite3.Connection,
) -> None:
    ns = [instances.insert(conn, new_instance(i)) for i in range(12)]
    flows = [registered(claim, flow=1 + claim.n % 2) for claim in due(conn, NOW)]
    schedule.settle(conn, flows, NOW)
    moved = timing.flow_lost(conn, 1, NOW, limit=100, spread=10)
    assert moved == 6
    times = {n: next_attempt(conn, n) or 0 for n in ns}
    assert all(NOW <= times[n] < NOW + 10 for n in ns if n % 2 == 0)
    assert all(times[n] == NOW + 1800 for n in ns if n % 2 == 1)
    assert len(set(times.values())) == 7
    assert timing.flow_lost(conn, 1, NOW, limit=100, spread=10) == 0


def test_a_restart_loses_all_connections_and_no_udp_binding(conn: sqlite3.Connection) -> None:
    ns = [instances.insert(conn, new_instance(i)) for i in range(4)]
    schedule.settle(
        conn, [registered(claim, flow=ns.index(claim.n)) for claim in due(conn, NOW)], NOW
    )
    assert timing.flow_lost(conn, None, NOW, limit=2, spread=10) == 2
    assert timing.flow_lost(conn, None, NOW, limit=2, spread=10) == 1
    assert next_attempt(conn, ns[0]) == NOW + 1800
    assert all((next_attempt(conn, n) or 0) < NOW + 10 for n in ns[1:])


def test_at_a_new_address_live_bindings_are_made_anew_in_batches(conn: sqlite3.Connection) -> None:
    ns = [instances.insert(conn, new_instance(i)) for i in range(5)]
    claims = due(conn, NOW)
    failing = registered(
        claims[0], state=InstanceState.ERROR, bound_until=None, next_attempt_at=NOW + 900
    )
    schedule.settle(conn, [failing, *map(registered, claims[1:])], NOW)
    after: int | None = 0
    rounds = 0
    while after is not None:
        after = timing.rebind(conn, NOW, after=after, limit=2, spread=30)
        rounds += 1
    assert rounds == 4
    assert next_attempt(conn, ns[0]) == NOW + 900
    assert all((next_attempt(conn, n) or 0) < NOW + 30 for n in ns[1:])


def test_interrupted_claims_are_redone_after_a_crash(conn: sqlite3.Connection, n: int) -> None:
    timing.make_due(conn, [n], NOW)
    (before,) = due(conn, NOW)
    assert timing.redo_interrupted(conn, NOW + 1) == 1
    (after,) = due(conn, NOW + 1)
    assert after.cseq > before.cseq
    assert after.nonce_count > before.nonce_count
    assert schedule.settle(conn, [registered(before)], NOW + 2).counted == set()


def test_after_a_clean_stop_nothing_is_redone(conn: sqlite3.Connection, n: int) -> None:
    assert timing.redo_interrupted(conn, NOW + 1) == 0
    assert next_attempt(conn, n) == NOW + 1800


def test_moves_of_a_row_that_is_gone_do_nothing(conn: sqlite3.Connection) -> None:
    timing.hold(conn, 1, LATER)
    timing.release(conn, 1, NOW)
    timing.make_due(conn, [1, 2], NOW)
    assert schedule.next_due(conn, NOW) is None
