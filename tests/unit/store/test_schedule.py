import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipis.model import InstanceState
from sipis.store import instances, lookup, registrars, schedule, timing
from sipis.store.instances import NewBinding, Replacement
from sipis.store.schedule import CSEQ_PER_CLAIM, Binding, Claim
from tests.support.store import DAY, NOW, digest, name, new_instance, new_target, registered


def add(conn: sqlite3.Connection, count: int, registrar: str = "example.org") -> list[int]:
    first = len(lookup.page(conn, NOW, limit=10_000))
    return [
        instances.insert(conn, new_instance(i, registrar=registrar))
        for i in range(first, first + count)
    ]


def claim_one(conn: sqlite3.Connection, now: float = NOW) -> Claim:
    (claim,) = schedule.claim(conn, now, limit=1)
    return claim


def next_due(conn: sqlite3.Connection, now: float) -> float | None:
    """Once a claim has found nothing, it is exact."""
    assert schedule.claim(conn, now, limit=10) == []
    return schedule.next_due(conn, now)


def row(conn: sqlite3.Connection, n: int, now: float = NOW) -> lookup.InstanceRow:
    found = lookup.by_n(conn, n, now)
    assert found is not None
    return found


def change_account(conn: sqlite3.Connection, n: int, *, call_id: str, token: str) -> None:
    binding = NewBinding("example.org", digest(1), contact_token=token, call_id=call_id)
    new = Replacement(9, 2, b"new", b"new", (new_target(0),), binding=binding)
    assert instances.replace(conn, n, new, NOW)


def test_what_is_due_is_claimed_with_all_that_a_register_needs(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    claim = claim_one(conn)
    new = new_instance(0)
    assert (claim.n, claim.id, claim.app, claim.registrar) == (n, new.id, "phone", "example.org")
    assert (claim.call_id, claim.contact_token) == (new.call_id, new.contact_token)
    assert (claim.slot, claim.version, claim.credential) == (0, 1, b"sealed credential 0")
    assert (claim.proven, claim.bound_until, claim.binding) == (False, None, Binding())


def test_a_claimed_row_is_not_claimed_again_before_its_time_in_flight_is_over(
    conn: sqlite3.Connection,
) -> None:
    add(conn, 1)
    schedule.claim(conn, NOW, limit=1, in_flight_for=60)
    assert schedule.claim(conn, NOW + 59, limit=1) == []
    assert len(schedule.claim(conn, NOW + 60, limit=1)) == 1


def test_each_claim_has_sequence_numbers_of_its_own(conn: sqlite3.Connection) -> None:
    add(conn, 1)
    first = claim_one(conn)
    second = claim_one(conn, NOW + 1000)
    assert second.cseq == first.cseq + CSEQ_PER_CLAIM
    assert second.nonce_count == first.nonce_count + 1


def test_an_idle_instance_becomes_registering(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    claim_one(conn)
    assert row(conn, n).state is InstanceState.REGISTERING
    assert row(conn, n).last_attempt_at == NOW


def test_no_registrar_takes_more_than_its_share_of_a_batch(conn: sqlite3.Connection) -> None:
    add(conn, 40, "large.example")
    add(conn, 3, "small.example")
    claims = schedule.claim(conn, NOW, limit=100)
    shares = [claim.registrar for claim in claims]
    assert (shares.count("large.example"), shares.count("small.example")) == (32, 3)


def test_a_batch_has_a_limit(conn: sqlite3.Connection) -> None:
    add(conn, 5)
    assert len(schedule.claim(conn, NOW, limit=4)) == 4


def test_an_allowance_bounds_one_registrar_and_zero_passes_it_over(
    conn: sqlite3.Connection,
) -> None:
    add(conn, 5, "a.example")
    add(conn, 5, "b.example")
    claims = schedule.claim(conn, NOW, limit=100, allowances={"a.example": 2, "b.example": 0})
    assert [claim.registrar for claim in claims] == ["a.example"] * 2
    assert schedule.next_due(conn, NOW, skip={"a.example", "b.example"}) is None
    assert schedule.next_due(conn, NOW) == NOW


def test_a_paused_registrar_never_hides_the_due_rows_of_another(conn: sqlite3.Connection) -> None:
    add(conn, 50, "paused.example")
    add(conn, 1, "well.example")
    registrars.pause(conn, "paused.example", NOW + 300)
    assert [c.registrar for c in schedule.claim(conn, NOW, limit=10)] == ["well.example"]
    assert schedule.claim(conn, NOW + 100, limit=10) == []
    assert schedule.next_due(conn, NOW + 100) == NOW + 180
    assert len(schedule.claim(conn, NOW + 300, limit=10)) == 10


def test_an_ended_pause_lets_the_registrar_be_claimed_at_once(conn: sqlite3.Connection) -> None:
    add(conn, 1)
    registrars.pause(conn, "example.org", NOW + 300)
    registrars.pause(conn, "example.org", None)
    assert len(schedule.claim(conn, NOW, limit=1)) == 1


def test_the_longest_due_come_first(conn: sqlite3.Connection) -> None:
    late = instances.insert(conn, new_instance(0, created_at=NOW + 2))
    early = instances.insert(conn, new_instance(1, created_at=NOW + 1))
    assert [claim.n for claim in schedule.claim(conn, NOW + 5, limit=5)] == [early, late]


def test_an_expired_instance_is_not_claimed_and_never_due_again(conn: sqlite3.Connection) -> None:
    add(conn, 3)
    assert schedule.claim(conn, NOW + DAY, limit=10) == []
    assert schedule.next_due(conn, NOW + DAY) is None


def test_a_success_is_remembered_and_refreshed_when_it_says(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    left = Binding("nonce", ("<sip:edge.example;lr>",), "udp|192.0.2.9:5060")
    settlement = registered(claim_one(conn), NOW + 1, binding=left, nonce_count=1)
    assert schedule.settle(conn, [settlement], NOW + 1).counted == {n}
    found = row(conn, n)
    assert (found.state, found.registered_at) == (InstanceState.REGISTERED, NOW + 1)
    assert (found.first_registered_at, found.bound_until) == (NOW + 1, NOW + 3601)
    assert next_due(conn, NOW + 1000) == NOW + 1801
    again = claim_one(conn, NOW + 1801)
    assert (again.binding, again.nonce_count, again.proven) == (left, 2, True)
    assert (again.granted, again.bound_until) == (3600, NOW + 3601)


def test_what_a_settlement_does_not_mention_stays(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    left = Binding("nonce", (), "place")
    schedule.settle(conn, [registered(claim_one(conn), binding=left, nonce_count=4)], NOW)
    schedule.settle(conn, [registered(claim_one(conn, NOW + 1800), NOW + 1800)], NOW + 1800)
    assert schedule.binding(conn, n) == left
    assert claim_one(conn, NOW + 3600).nonce_count == 6


def test_a_failed_refresh_keeps_since_when_only_while_registered(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    schedule.settle(conn, [registered(claim_one(conn))], NOW)
    kept = registered(claim_one(conn, NOW + 1800), last_status=503, reason="provider_error")
    schedule.settle(conn, [kept], NOW + 1800)
    assert row(conn, n).registered_at == NOW
    lost = registered(
        claim_one(conn, NOW + 3600), state=InstanceState.ERROR, failures=2, bound_until=None
    )
    schedule.settle(conn, [lost], NOW + 3600)
    found = row(conn, n)
    assert (found.registered_at, found.first_registered_at) == (None, NOW)
    assert (found.state, found.state_since, found.failures) == (InstanceState.ERROR, NOW + 3600, 2)


def test_a_settlement_without_a_next_attempt_stops_the_row(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    refused = registered(
        claim_one(conn),
        next_attempt_at=None,
        state=InstanceState.UNAUTHORIZED,
        reason="wrong_password",
        refusals=1,
        last_status=401,
    )
    schedule.settle(conn, [refused], NOW)
    assert next_due(conn, NOW + 1000) is None
    found = row(conn, n)
    assert (found.next_attempt_at, found.reason) == (None, "wrong_password")
    assert (found.refusals, found.last_status) == (1, 401)


@pytest.mark.parametrize("change", [{"cseq": 1}, {"n": 1}])
def test_a_settlement_of_another_claim_changes_nothing(
    conn: sqlite3.Connection, change: dict[str, int]
) -> None:
    (n,) = add(conn, 1)
    claim = claim_one(conn)
    assert schedule.settle(conn, [registered(claim, **change)], NOW).counted == set()
    assert row(conn, n).state is InstanceState.REGISTERING


def test_a_settlement_that_comes_after_the_row_was_claimed_again_changes_nothing(
    conn: sqlite3.Connection,
) -> None:
    (n,) = add(conn, 1)
    late = claim_one(conn)
    current = claim_one(conn, NOW + 1000)
    assert schedule.settle(conn, [registered(late)], NOW + 1001).counted == set()
    assert schedule.settle(conn, [registered(current)], NOW + 1002).counted == {n}


def test_a_row_restarted_under_new_names_goes_ahead_at_once(conn: sqlite3.Connection) -> None:
    (n,) = add(conn, 1)
    old = claim_one(conn)
    change_account(conn, n, call_id=name(70), token=name(71))
    new = claim_one(conn)
    assert (new.call_id, new.contact_token, new.generation) == (name(70), name(71), 1)
    assert schedule.settle(conn, [registered(old)], NOW + 1).counted == set()
    assert row(conn, n).state is InstanceState.REGISTERING
    assert schedule.settle(conn, [registered(new)], NOW + 1).counted == {n}


def test_a_row_restarted_under_the_same_names_waits_for_the_register_under_way(
    conn: sqlite3.Connection,
) -> None:
    (n,) = add(conn, 1)
    old = claim_one(conn)
    change_account(conn, n, call_id=old.call_id, token=old.contact_token)
    assert schedule.claim(conn, NOW, limit=1) == []
    assert schedule.settle(conn, [registered(old)], NOW + 1).counted == set()
    assert row(conn, n).state is InstanceState.IDLE
    assert claim_one(conn, NOW + 1).generation == 1


def test_looking_takes_nothing_and_seizing_ends_the_claim_under_way(
    conn: sqlite3.Connection,
) -> None:
    (n,) = add(conn, 1)
    claim = claim_one(conn)
    seen = schedule.peek(conn, n)
    seized = schedule.seize(conn, n, NOW)
    assert seen is not None
    assert seized is not None
    assert seen.cseq == seized.cseq == claim.cseq + CSEQ_PER_CLAIM
    assert schedule.settle(conn, [registered(claim)], NOW).counted == set()
    assert schedule.settle(conn, [registered(seized)], NOW).counted == {n}
    assert schedule.peek(conn, n + 1) is schedule.seize(conn, n + 1, NOW) is None


def test_without_instances_nothing_is_due(conn: sqlite3.Connection) -> None:
    assert schedule.next_due(conn, NOW) is None
    assert schedule.claim(conn, NOW, limit=10) == []


MOVES = st.lists(
    st.tuples(st.sampled_from(["claim", "settle", "hold", "release", "wake", "lose", "wait"]),
              st.integers(0, 3)),
    max_size=25,
)  # fmt: skip


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(MOVES)
def test_a_due_row_is_never_forgotten_and_never_claimed_twice(
    conn: sqlite3.Connection, moves: list[tuple[str, int]]
) -> None:
    """Whatever happens in between: no double claim, and next_due is never later than the truth."""
    conn.execute("BEGIN")
    ns = add(conn, 4, "a.example")
    now, under_way = NOW, dict[int, Claim]()
    for move, which in moves:
        now += 10
        n = ns[which]
        if move == "claim":
            for claim in schedule.claim(conn, now, limit=2, in_flight_for=1e6):
                assert claim.n not in under_way
                under_way[claim.n] = claim
        elif move == "settle" and n in under_way:
            settlement = registered(under_way.pop(n), now, flow=which)
            assert schedule.settle(conn, [settlement], now).counted == {n}
        elif move == "hold":
            timing.hold(conn, n, now + 300)
        elif move == "release":
            timing.release(conn, n, now)
        elif move == "wake":
            timing.make_due(conn, [n], now)
        elif move == "lose":
            timing.flow_lost(conn, which, now, limit=10, spread=5)
        else:
            now += 2000
        earliest = min(
            row["next_attempt_at"] for row in conn.execute("SELECT next_attempt_at FROM schedule")
        )
        planned = schedule.next_due(conn, now)
        assert planned is not None
        assert planned <= max(earliest / 1000, now)
    conn.execute("ROLLBACK")


def test_finding_what_is_due_never_reads_the_whole_table(conn: sqlite3.Connection) -> None:
    statements: list[str] = []
    add(conn, 3)
    conn.set_trace_callback(statements.append)
    claims = schedule.claim(conn, NOW, limit=3)
    schedule.settle(conn, [registered(claim, flow=1) for claim in claims], NOW)
    schedule.next_due(conn, NOW)
    timing.redo_interrupted(conn, NOW)
    timing.flow_lost(conn, 1, NOW, limit=10, spread=5)
    timing.flow_lost(conn, None, NOW, limit=10, spread=5)
    timing.rebind(conn, NOW, after=0, limit=10, spread=5)
    lookup.expired(conn, NOW, 10)
    lookup.unwarned(conn, NOW, 10)
    lookup.never_registered(conn, NOW, 10)
    lookup.stuck_in(conn, InstanceState.ERROR, NOW, 10)
    lookup.next_expiry(conn)
    lookup.count_states(conn)
    conn.set_trace_callback(None)
    assert scans(conn, statements) == []


def scans(conn: sqlite3.Connection, statements: list[str]) -> list[str]:
    """Steps that read a large table, or an index of all its rows, from end to end."""
    large = {"s", "i", "t", "schedule", "instances", "targets"}
    partial = ("schedule_exceptions", "schedule_in_flight", "schedule_flow")
    steps = [
        step["detail"]
        for statement in statements
        for step in conn.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    ]
    return [
        step
        for step in steps
        if step.startswith("SCAN")
        and step.split()[1] in large
        and not any(index in step for index in partial)
    ]


def test_a_whole_table_would_be_noticed(conn: sqlite3.Connection) -> None:
    assert scans(conn, ["SELECT * FROM schedule s WHERE cseq = 5"]) == ["SCAN s"]
