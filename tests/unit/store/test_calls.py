import sqlite3
from dataclasses import replace

import pytest

from sipis.model import CallState
from sipis.store import calls, instances, records
from sipis.store.calls import CallRow
from sipis.store.records import Kind
from tests.support.store import DAY, NOW, new_instance

CALL = "00112233-4455-6677-8899-aabbccddeeff"
OTHER = "ffeeddcc-bbaa-9988-7766-554433221100"


@pytest.fixture
def n(conn: sqlite3.Connection) -> int:
    return instances.insert(conn, new_instance())


def ringing(n: int, call: str = CALL) -> CallRow:
    return CallRow(n, call, CallState.RINGING, NOW, None, NOW + DAY, b"sealed dialog")


def test_a_call_comes_back_as_it_was(conn: sqlite3.Connection, n: int) -> None:
    calls.save(conn, ringing(n))
    assert calls.get(conn, n, CALL, NOW) == ringing(n)


@pytest.mark.parametrize("state", list(CallState))
def test_every_state_can_be_kept(conn: sqlite3.Connection, n: int, state: CallState) -> None:
    calls.save(conn, replace(ringing(n), state=state))
    found = calls.get(conn, n, CALL, NOW)
    assert found is not None
    assert found.state is state


def test_a_call_saved_again_is_the_same_call(conn: sqlite3.Connection, n: int) -> None:
    calls.save(conn, ringing(n))
    later = replace(ringing(n), state=CallState.ANSWERED, sealed=b"x" * 3000)
    calls.save(conn, later)
    assert calls.list_for(conn, n, NOW) == [later]


def ended(call: CallRow) -> CallRow:
    return replace(call, state=CallState.MISSED, ended_at=NOW + 20, expires_at=NOW + 140)


def test_an_ended_call_is_told_to_late_wakers_until_its_time_is_over(
    conn: sqlite3.Connection, n: int
) -> None:
    calls.save(conn, ringing(n))
    calls.save(conn, ended(ringing(n)))
    found = calls.get(conn, n, CALL, NOW + 139)
    assert found is not None
    assert (found.state, found.ended_at) == (CallState.MISSED, NOW + 20)
    assert calls.get(conn, n, CALL, NOW + 140) is None
    assert calls.list_for(conn, n, NOW + 140) == []


@pytest.mark.parametrize("call", ["", "nonsense", OTHER])
def test_a_name_that_no_call_has_finds_nothing(conn: sqlite3.Connection, n: int, call: str) -> None:
    calls.save(conn, ringing(n))
    assert calls.get(conn, n, call, NOW) is None


def test_a_call_is_found_by_its_own_instance_only(conn: sqlite3.Connection, n: int) -> None:
    other = instances.insert(conn, new_instance(1))
    calls.save(conn, ringing(n))
    assert calls.get(conn, other, CALL, NOW) is None


def test_after_a_crash_the_calls_under_way_are_known(conn: sqlite3.Connection, n: int) -> None:
    calls.save(conn, ringing(n))
    calls.save(conn, ringing(n, OTHER))
    calls.save(conn, ended(ringing(n, OTHER)))
    assert calls.under_way(conn) == [ringing(n)]


def test_calls_are_listed_newest_first(conn: sqlite3.Connection, n: int) -> None:
    calls.save(conn, ringing(n))
    calls.save(conn, ringing(n, OTHER))
    assert [call.call for call in calls.list_for(conn, n, NOW)] == [OTHER, CALL]


def test_calls_past_their_time_are_purged_with_their_records(
    conn: sqlite3.Connection, n: int
) -> None:
    calls.save(conn, ringing(n))
    c = conn.execute("SELECT c FROM calls").fetchone()["c"]
    assert calls.purge(conn, NOW + DAY - 1) == 0
    assert calls.purge(conn, NOW + DAY) == 1
    assert records.get(conn, Kind.CALL, c) is None
