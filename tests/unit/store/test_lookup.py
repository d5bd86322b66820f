import sqlite3

import pytest

from sipis.model import InstanceState
from sipis.store import instances, lookup, schedule, targets
from tests.support.store import (
    DAY,
    NOW,
    digest,
    name,
    new_instance,
    new_target,
    registered,
    set_state,
)


def numbers(rows: list[lookup.InstanceRow]) -> list[int]:
    return [row.n for row in rows]


def test_an_instance_is_found_by_each_of_its_names(conn: sqlite3.Connection) -> None:
    new = new_instance(5, idempotency_key=digest(8))
    instances.insert(conn, new_instance(4))
    n = instances.insert(conn, new)
    found = [
        lookup.by_n(conn, n, NOW),
        lookup.by_id(conn, new.id, NOW),
        lookup.by_contact_token(conn, new.contact_token, NOW),
        lookup.by_relay_user(conn, new.relay_user, NOW),
        lookup.by_idempotency_key(conn, digest(8), NOW),
        *lookup.by_aor(conn, new.aor_index, "example.org", NOW),
        *lookup.by_token(conn, "phone", digest(5), NOW),
    ]
    assert [row.n if row else None for row in found] == [n] * 7


def test_an_expired_instance_is_invisible_to_every_look_up(conn: sqlite3.Connection) -> None:
    new = new_instance(5, idempotency_key=digest(8))
    n = instances.insert(conn, new)
    late = NOW + DAY
    assert lookup.by_n(conn, n, late) is None
    assert lookup.by_id(conn, new.id, late) is None
    assert lookup.by_contact_token(conn, new.contact_token, late) is None
    assert lookup.by_relay_user(conn, new.relay_user, late) is None
    assert lookup.by_idempotency_key(conn, digest(8), late) is None
    assert lookup.by_aor(conn, new.aor_index, "example.org", late) == []
    assert lookup.by_token(conn, "phone", digest(5), late) == []
    assert lookup.sealed(conn, n, late) is None
    assert lookup.page(conn, late, limit=10) == []


@pytest.mark.parametrize("text", ["", "x", "0" * 31, "'; DROP TABLE instances; --", "F" * 32])
def test_text_that_is_no_name_finds_nothing(conn: sqlite3.Connection, text: str) -> None:
    instances.insert(conn, new_instance())
    assert lookup.by_id(conn, text, NOW) is None
    assert lookup.by_contact_token(conn, text, NOW) is None
    assert lookup.by_relay_user(conn, text, NOW) is None


def test_two_phones_of_one_account_are_both_found(conn: sqlite3.Connection) -> None:
    both = [instances.insert(conn, new_instance(i, aor_index=digest(77))) for i in range(2)]
    instances.insert(conn, new_instance(2, aor_index=digest(77), registrar="other.example"))
    assert numbers(lookup.by_aor(conn, digest(77), "example.org", NOW)) == both
    assert lookup.by_aor(conn, digest(77), "nowhere.example", NOW) == []


def test_a_connection_leads_to_the_instance_that_has_it_for_itself(
    conn: sqlite3.Connection,
) -> None:
    ns = [instances.insert(conn, new_instance(i)) for i in range(3)]
    claims = schedule.claim(conn, NOW, limit=3)
    flows = dict(zip(ns, (7, 8, 8), strict=True))
    schedule.settle(conn, [registered(it, flow=flows[it.n]) for it in claims], NOW)
    alone = lookup.alone_on(conn, 7, NOW)
    assert alone is not None
    assert alone.n == ns[0]
    assert lookup.alone_on(conn, 8, NOW) is None
    assert lookup.alone_on(conn, 9, NOW) is None
    assert lookup.alone_on(conn, 7, NOW + DAY) is None


def test_no_connection_at_all_is_nobodys(conn: sqlite3.Connection) -> None:
    instances.insert(conn, new_instance())
    assert lookup.alone_on(conn, 0, NOW) is None


def test_a_token_is_found_within_its_app_only(conn: sqlite3.Connection) -> None:
    shared = (new_target(77),)
    both = [instances.insert(conn, new_instance(i, targets=shared)) for i in range(2)]
    instances.insert(conn, new_instance(2, targets=shared, app="desk"))
    assert numbers(lookup.by_token(conn, "phone", digest(77), NOW)) == both


def test_an_absent_idempotency_key_finds_nothing(conn: sqlite3.Connection) -> None:
    instances.insert(conn, new_instance())
    assert lookup.by_idempotency_key(conn, bytes(32), NOW) is None


def test_a_proven_target_makes_the_instance_verified(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    before = lookup.by_n(conn, n, NOW)
    targets.mark_verified(conn, n)
    after = lookup.by_n(conn, n, NOW)
    assert before is not None
    assert after is not None
    assert (before.verified, after.verified) == (False, True)


def test_pages_are_in_order_and_go_on_after_the_last_number(conn: sqlite3.Connection) -> None:
    ns = [instances.insert(conn, new_instance(i, app="ab"[i % 2])) for i in range(5)]
    assert numbers(lookup.page(conn, NOW, limit=2)) == ns[:2]
    assert numbers(lookup.page(conn, NOW, after=ns[1], limit=10)) == ns[2:]
    assert numbers(lookup.page(conn, NOW, limit=10, app="a")) == ns[::2]


def test_expired_instances_are_listed_longest_first(conn: sqlite3.Connection) -> None:
    late = instances.insert(conn, new_instance(0, expires_at=NOW + 20))
    early = instances.insert(conn, new_instance(1, expires_at=NOW + 10))
    instances.insert(conn, new_instance(2, expires_at=NOW + 30))
    assert lookup.next_expiry(conn) == NOW + 10
    assert numbers(lookup.expired(conn, NOW + 20, 10)) == [early, late]
    assert numbers(lookup.expired(conn, NOW + 20, 1)) == [early]


def test_without_instances_nothing_expires(conn: sqlite3.Connection) -> None:
    assert lookup.next_expiry(conn) is None


def test_apps_are_warned_once_of_a_coming_expiry(conn: sqlite3.Connection) -> None:
    soon = instances.insert(conn, new_instance(0, expires_at=NOW + 10))
    instances.insert(conn, new_instance(1))
    assert numbers(lookup.unwarned(conn, NOW + 60, 10)) == [soon]
    instances.mark_warned(conn, [soon])
    assert lookup.unwarned(conn, NOW + 60, 10) == []


def test_only_accounts_that_no_registrar_ever_accepted_count_as_never_registered(
    conn: sqlite3.Connection,
) -> None:
    instances.insert(conn, new_instance(0))
    n = instances.insert(conn, new_instance(1, registrar="other.example"))
    claims = {claim.registrar: claim for claim in schedule.claim(conn, NOW, limit=10)}
    schedule.settle(conn, [registered(claims["example.org"])], NOW)
    assert numbers(lookup.never_registered(conn, NOW + 1, 10)) == [n]
    assert lookup.never_registered(conn, NOW, 10) == []


def test_states_are_counted_and_their_instances_listed(conn: sqlite3.Connection) -> None:
    ns = [instances.insert(conn, new_instance(i)) for i in range(3)]
    claims = schedule.claim(conn, NOW, limit=2)
    schedule.settle(conn, [registered(claim) for claim in claims], NOW)
    set_state(conn, ns[1], InstanceState.UNAUTHORIZED, "wrong_password", NOW + 5)
    counts = {state: count for state, count in lookup.count_states(conn).items() if count}
    assert counts == {
        InstanceState.IDLE: 1,
        InstanceState.REGISTERED: 1,
        InstanceState.UNAUTHORIZED: 1,
    }
    stuck = lookup.stuck_in(conn, InstanceState.UNAUTHORIZED, NOW + 6, 10)
    assert [(row.n, row.reason, row.state_since) for row in stuck] == [
        (ns[1], "wrong_password", NOW + 5)
    ]
    assert lookup.stuck_in(conn, InstanceState.UNAUTHORIZED, NOW + 5, 10) == []


def test_names_that_nobody_has_find_nothing(conn: sqlite3.Connection) -> None:
    assert lookup.by_id(conn, name(1), NOW) is None
    assert lookup.sealed(conn, 1, NOW) is None
