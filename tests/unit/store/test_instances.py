import sqlite3
from dataclasses import replace

import pytest

from sipis.errors import StoreError
from sipis.model import InstanceState, Mode
from sipis.store import apps, gone, instances, lookup, registrars, schedule, slots, targets
from sipis.store.apps import AppCount
from sipis.store.instances import NewBinding, Replacement
from sipis.store.slots import OwedSlot
from tests.support.store import DAY, NOW, digest, name, new_instance, new_target, registered

RENEWED = Replacement(
    slot=77,
    version=2,
    sealed_credential=b"new credential",
    sealed_targets=b"new targets",
    targets=(new_target(0),),
)


def binding(call_id: str, token: str, registrar: str = "example.org") -> NewBinding:
    return NewBinding(registrar, digest(99), contact_token=token, call_id=call_id)


def row(conn: sqlite3.Connection, n: int, now: float = NOW) -> lookup.InstanceRow:
    found = lookup.by_n(conn, n, now)
    assert found is not None
    return found


def test_a_new_instance_is_idle_and_due_at_once(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    found = row(conn, n)
    assert (found.state, found.next_attempt_at) == (InstanceState.IDLE, NOW)
    assert schedule.next_due(conn, NOW) == NOW


def test_a_new_instance_comes_back_as_it_was(conn: sqlite3.Connection) -> None:
    new = new_instance(3, mode=Mode.ALTERNATE, preview=True, idempotency_key=digest(8))
    found = row(conn, instances.insert(conn, new))
    for field in (
        "id", "app", "secret_hash", "mode", "created_at", "expires_at", "ttl", "slot", "version",
        "contact_token", "call_id", "relay_user", "registrar", "aor_index", "commitment", "preview",
        "idempotency_key",
    ):  # fmt: skip
        assert getattr(found, field) == getattr(new, field), field


def test_its_records_are_kept_sealed_and_unread(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    sealed = lookup.sealed(conn, n, NOW)
    assert sealed is not None
    assert (sealed.credential, sealed.targets) == (b"sealed credential 0", b"sealed targets 0")


@pytest.mark.parametrize("taken", ["id", "contact_token", "relay_user"])
def test_a_name_in_use_is_refused(conn: sqlite3.Connection, taken: str) -> None:
    first = new_instance(0)
    instances.insert(conn, first)
    with pytest.raises(sqlite3.IntegrityError):
        instances.insert(conn, new_instance(1, **{taken: getattr(first, taken)}))


def test_an_idempotency_key_makes_one_instance_only(conn: sqlite3.Connection) -> None:
    instances.insert(conn, new_instance(0, idempotency_key=digest(8)))
    with pytest.raises(sqlite3.IntegrityError):
        instances.insert(conn, new_instance(1, idempotency_key=digest(8)))
    instances.insert(conn, new_instance(2))
    instances.insert(conn, new_instance(3))


@pytest.mark.parametrize("field", ["id", "contact_token", "call_id", "relay_user"])
def test_a_name_of_another_length_is_refused(conn: sqlite3.Connection, field: str) -> None:
    with pytest.raises(StoreError, match="32 lower-case hex"):
        instances.insert(conn, new_instance(0, **{field: "short"}))


def test_instances_and_targets_are_counted_per_app(conn: sqlite3.Connection) -> None:
    instances.insert(conn, new_instance(0, targets=(new_target(0), new_target(1))))
    instances.insert(conn, new_instance(1))
    instances.insert(conn, new_instance(2, app="desk"))
    assert apps.counts(conn) == {"desk": AppCount(1, 1), "phone": AppCount(2, 3)}


def test_replaced_records_are_read_from_the_new_slot_and_the_old_one_is_owed(
    conn: sqlite3.Connection,
) -> None:
    n = instances.insert(conn, new_instance())
    assert instances.replace(conn, n, RENEWED, NOW)
    sealed = lookup.sealed(conn, n, NOW)
    assert sealed is not None
    assert (sealed.slot, sealed.version, sealed.credential) == (77, 2, b"new credential")
    assert slots.owed(conn) == [OwedSlot(0, new_instance().id)]


def test_new_records_alone_leave_the_binding_and_names_as_they_are(
    conn: sqlite3.Connection,
) -> None:
    n = instances.insert(conn, new_instance())
    (claim,) = schedule.claim(conn, NOW, limit=1)
    instances.replace(conn, n, RENEWED, NOW)
    assert schedule.settle(conn, [registered(claim)], NOW).counted == {n}
    found = row(conn, n)
    assert found.state is InstanceState.REGISTERED
    assert (found.contact_token, found.secret_hash) == (name(0x1000), digest(0))


def test_given_names_are_changed(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    new = replace(RENEWED, secret_hash=digest(50), relay_user=name(51), commitment=digest(52))
    instances.replace(conn, n, new, NOW)
    found = row(conn, n)
    assert (found.secret_hash, found.relay_user) == (digest(50), name(51))
    assert found.commitment == digest(52)


def test_targets_stay_unless_new_ones_are_given(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    instances.replace(conn, n, replace(RENEWED, targets=None), NOW)
    assert [target.index for target in targets.list_for(conn, n)] == [digest(0)]
    instances.replace(conn, n, replace(RENEWED, targets=(new_target(9),)), NOW)
    assert [target.index for target in targets.list_for(conn, n)] == [digest(9)]


def test_a_changed_account_starts_anew_at_its_registrar(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    (claim,) = schedule.claim(conn, NOW, limit=1)
    schedule.settle(conn, [registered(claim)], NOW)
    moved = binding(name(60), name(61), "other.example")
    instances.replace(conn, n, replace(RENEWED, binding=moved), NOW + 5)
    found = row(conn, n)
    assert (found.state, found.next_attempt_at) == (InstanceState.IDLE, NOW + 5)
    assert (found.registrar, found.contact_token, found.call_id) == (
        "other.example", name(61), name(60),
    )  # fmt: skip
    assert (found.bound_until, found.first_registered_at, found.failures) == (None, None, 0)
    assert [one.key for one in registrars.in_use(conn)] == ["other.example"]


def test_the_old_contact_of_a_changed_account_is_remembered_while_it_is_bound(
    conn: sqlite3.Connection,
) -> None:
    n = instances.insert(conn, new_instance())
    registrars.learn(conn, "example.org", ["192.0.2.1"], NOW)
    (claim,) = schedule.claim(conn, NOW, limit=1)
    schedule.settle(conn, [registered(claim)], NOW)
    instances.replace(conn, n, replace(RENEWED, binding=binding(name(60), name(61))), NOW + 5)
    old = gone.contact(conn, name(0x1000), NOW + 6)
    assert old is not None
    assert (old.sources, old.expires_at) == (("192.0.2.1",), NOW + 3600)
    assert gone.contact(conn, name(61), NOW + 6) is None


def test_an_expired_instance_is_neither_replaced_nor_extended(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    late = NOW + DAY
    assert not instances.replace(conn, n, RENEWED, late)
    assert not instances.extend(conn, n, late + DAY, DAY, late)
    assert slots.owed(conn) == []


def test_an_extended_instance_lives_on_and_is_warned_again(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    instances.mark_warned(conn, [n])
    assert row(conn, n).warned
    assert instances.extend(conn, n, NOW + 2 * DAY, 2 * DAY, NOW)
    found = row(conn, n, NOW + DAY)
    assert (found.expires_at, found.ttl, found.warned) == (NOW + 2 * DAY, 2 * DAY, False)


def test_mode_and_preview_can_change(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    instances.set_mode(conn, n, Mode.TAKEOVER)
    instances.set_preview(conn, n, preview=True)
    assert (row(conn, n).mode, row(conn, n).preview) == (Mode.TAKEOVER, True)


def test_secrets_are_not_shown() -> None:
    shown = repr(new_instance())
    assert "sealed credential" not in shown
    assert "secret_hash" not in shown
