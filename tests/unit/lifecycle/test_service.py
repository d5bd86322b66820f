from structlog.testing import capture_logs

from sipis.model import InstanceState, PushEvent
from tests.support.lifecycle import House
from tests.support.vault import ACCOUNT, TOKEN, VOIP


async def test_unknown_ids_and_wrong_secrets_are_alike(house: House) -> None:
    enabled = await house.enable()
    other = await house.enable(targets=())
    for name, secret in (
        (enabled.row.id, "wrong"),
        (enabled.row.id, other.secret),
        (enabled.row.id, ""),
        ("0" * 32, enabled.secret),
        ("no id at all", enabled.secret),
        ("\ud800", "\ud800"),
    ):
        assert await house.lifecycle.find(name, secret) is None
        assert await house.lifecycle.disable(name, secret) is None
    assert await house.lifecycle.find(enabled.row.id, enabled.secret) is not None


async def test_an_expired_instance_is_not_found_even_before_it_is_erased(house: House) -> None:
    enabled = await house.enable(ttl=60.0)
    await house.clock.advance(59)
    house.clock.jump(1.01)
    assert await house.lifecycle.find(enabled.row.id, enabled.secret) is None


async def test_an_export_holds_everything_but_the_credential(house: House) -> None:
    enabled = await house.enable(push_key=b"k" * 32)
    export = await house.lifecycle.export(enabled.row)
    assert export is not None
    assert (export.account, export.targets, export.push_key) == (ACCOUNT, (VOIP, TOKEN), b"k" * 32)
    assert "alice" not in repr(export)
    await house.lifecycle.delete(enabled.row.id)
    assert await house.lifecycle.export(enabled.row) is None


async def test_a_test_push_goes_to_the_targets_or_says_that_there_are_none(house: House) -> None:
    enabled = await house.enable()
    report = await house.lifecycle.push_test(enabled.row)
    assert report is not None
    assert report.accepted == 2
    assert house.announcer.events()[-1] is PushEvent.TEST
    empty = await house.enable(targets=())
    assert await house.lifecycle.push_test(empty.row) is None


async def test_created_and_destroyed_instances_are_counted(house: House) -> None:
    enabled = await house.enable()
    await house.lifecycle.disable(enabled.row.id, enabled.secret)
    await house.lifecycle.disable(enabled.row.id, enabled.secret)
    text = house.metrics.exposition().decode()
    assert 'sipis_instances_created_total{app="com.example.phone"} 1.0' in text
    assert 'sipis_instances_destroyed_total{reason="disabled"} 1.0' in text
    assert "sipis_delete_seconds_count 1.0" in text


async def test_nothing_that_lifecycle_hands_out_shows_its_secrets(house: House) -> None:
    enabled = await house.enable()
    shown = repr(enabled)
    for secret in (enabled.secret, enabled.relay.for_app()[1], enabled.opening.salt.hex()):
        assert secret not in shown


async def test_a_new_state_is_logged_under_the_random_name_of_its_instance(house: House) -> None:
    enabled = await house.enable()
    with capture_logs() as lines:
        house.lifecycle.on_state(enabled.row.n, enabled.row.id, InstanceState.REGISTERED, "")
    assert [(it["event"], it["instance"], it["state"]) for it in lines] == [
        ("state", enabled.row.id, "registered")
    ]
