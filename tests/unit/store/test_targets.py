import sqlite3

import pytest

from sipis.model import Environment, PushService, TargetKind
from sipis.store import apps, instances, targets
from sipis.store.columns import NO_HASH
from sipis.store.targets import NewTarget, TargetRow
from tests.support.store import NOW, digest, new_instance, new_target

CODE = digest(500)


@pytest.fixture
def n(conn: sqlite3.Connection) -> int:
    """An instance with the targets 0 and 1."""
    return instances.insert(conn, new_instance(targets=(new_target(0), new_target(1))))


def get(conn: sqlite3.Connection, n: int, number: int) -> TargetRow:
    (found,) = [row for row in targets.list_for(conn, n) if row.index == digest(number)]
    return found


def give(conn: sqlite3.Connection, n: int, now: float, *new: NewTarget) -> None:
    targets.replace(conn, n, apps.number(conn, "phone"), new, now)


@pytest.mark.parametrize(
    ("provider", "kind", "environment"),
    [
        (PushService.APNS, TargetKind.VOIP, Environment.SANDBOX),
        (PushService.APNS, TargetKind.ALERT, Environment.PRODUCTION),
        (PushService.FCM, TargetKind.TOKEN, None),
        (PushService.FCM, TargetKind.FID, None),
    ],
)
def test_a_target_comes_back_as_it_was_given(
    conn: sqlite3.Connection, provider: PushService, kind: TargetKind, environment: Environment
) -> None:
    new = NewTarget(digest(7), provider, kind, environment)
    n = instances.insert(conn, new_instance(targets=(new,)))
    assert targets.list_for(conn, n) == [
        TargetRow(
            n=n,
            index=digest(7),
            provider=provider,
            kind=kind,
            environment=environment,
            registered_at=NOW,
            last_ok_at=None,
            verified=False,
            dead=False,
        )
    ]


def test_targets_are_listed_in_the_order_they_came(conn: sqlite3.Connection, n: int) -> None:
    assert [row.index for row in targets.list_for(conn, n)] == [digest(0), digest(1)]


def test_one_token_given_twice_is_one_target(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance(targets=(new_target(0), new_target(0))))
    assert targets.live_count(conn, n) == 1
    assert apps.counts(conn)["phone"].targets == 1


def test_an_accepted_push_is_remembered_of_its_own_target(conn: sqlite3.Connection, n: int) -> None:
    targets.mark_ok(conn, n, digest(0), NOW + 9, None)
    assert get(conn, n, 0).last_ok_at == NOW + 9
    assert get(conn, n, 1).last_ok_at is None


def test_a_token_dies_once(conn: sqlite3.Connection, n: int) -> None:
    assert targets.mark_dead(conn, n, digest(0))
    assert not targets.mark_dead(conn, n, digest(0))
    assert targets.live_count(conn, n) == 1
    assert get(conn, n, 0).dead


def test_a_token_given_after_the_services_instant_lives_on(
    conn: sqlite3.Connection, n: int
) -> None:
    assert not targets.mark_dead(conn, n, digest(0), since=NOW - 1)
    assert targets.mark_dead(conn, n, digest(0), since=NOW)


def test_a_token_that_once_worked_survives_a_doubtful_verdict(
    conn: sqlite3.Connection, n: int
) -> None:
    targets.mark_ok(conn, n, digest(0), NOW, None)
    assert not targets.mark_dead(conn, n, digest(0), unless_proven=True)
    assert targets.mark_dead(conn, n, digest(1), unless_proven=True)


def test_a_token_of_another_instance_does_not_die_with_it(conn: sqlite3.Connection, n: int) -> None:
    other = instances.insert(conn, new_instance(5, targets=(new_target(0),)))
    targets.mark_dead(conn, n, digest(0))
    assert targets.live_count(conn, other) == 1


def test_new_targets_take_the_place_of_the_old(conn: sqlite3.Connection, n: int) -> None:
    give(conn, n, NOW + 5, new_target(1), new_target(2))
    assert [row.index for row in targets.list_for(conn, n)] == [digest(1), digest(2)]
    assert apps.counts(conn)["phone"].targets == 2


def test_a_token_that_is_given_again_keeps_its_proof_and_comes_back_to_life(
    conn: sqlite3.Connection, n: int
) -> None:
    targets.mark_verified(conn, n)
    targets.mark_ok(conn, n, digest(0), NOW + 1, None)
    targets.mark_dead(conn, n, digest(0))
    give(conn, n, NOW + 5, new_target(0))
    row = get(conn, n, 0)
    assert (row.verified, row.dead, row.last_ok_at) == (True, False, NOW + 1)
    assert row.registered_at == NOW + 5


def test_a_token_that_worked_keeps_its_environment_whatever_the_app_says(
    conn: sqlite3.Connection, n: int
) -> None:
    give(conn, n, NOW + 1, new_target(0, environment=Environment.SANDBOX))
    assert get(conn, n, 0).environment is Environment.SANDBOX
    targets.mark_ok(conn, n, digest(0), NOW + 2, Environment.PRODUCTION)
    give(conn, n, NOW + 3, new_target(0, environment=Environment.SANDBOX))
    assert get(conn, n, 0).environment is Environment.PRODUCTION


def test_the_code_of_a_verify_push_proves_its_token_once(conn: sqlite3.Connection, n: int) -> None:
    targets.expect_code(conn, n, digest(0), CODE, NOW + 60)
    assert targets.verify(conn, n, CODE, NOW + 59)
    assert (get(conn, n, 0).verified, get(conn, n, 1).verified) == (True, False)
    assert not targets.verify(conn, n, CODE, NOW + 59)


@pytest.mark.parametrize(
    ("code", "now"), [(digest(501), NOW), (CODE, NOW + 60), (NO_HASH, NOW), (digest(0), NOW)]
)
def test_a_wrong_or_late_code_proves_nothing(
    conn: sqlite3.Connection, n: int, code: bytes, now: float
) -> None:
    targets.expect_code(conn, n, digest(0), CODE, NOW + 60)
    assert not targets.verify(conn, n, code, now)
    assert not get(conn, n, 0).verified


def test_a_code_is_good_for_its_own_instance_only(conn: sqlite3.Connection, n: int) -> None:
    other = instances.insert(conn, new_instance(5))
    targets.expect_code(conn, n, digest(0), CODE, NOW + 60)
    assert not targets.verify(conn, other, CODE, NOW)
