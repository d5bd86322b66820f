from dataclasses import replace

import pytest

from sipis.errors import FieldError, RefusedAddress, StoreError, VaultError
from sipis.lifecycle import Conflict, Enabled, Full
from sipis.model import Account, InstanceState, Mode, PushEvent
from sipis.secret import Secret
from sipis.store import lookup
from sipis.vault import PasswordCredential
from tests.support.lifecycle import APP, House, full_disk, order
from tests.support.store import set_state
from tests.support.vault import ACCOUNT, PASSWORD, TOKEN, VOIP

DAY = 86_400.0
BOB = Account("sip:bob@example.org")


async def test_an_enabled_instance_is_due_at_once_and_its_secrets_open_it(house: House) -> None:
    enabled = await house.enable(mode=Mode.ALTERNATE, preview=True)
    assert enabled.row.state is InstanceState.IDLE
    assert (enabled.row.mode, enabled.row.preview) == (Mode.ALTERNATE, True)
    assert enabled.row.registrar == "example.org"
    assert house.registrations.woken == [enabled.row.n]
    assert await house.lifecycle.find(enabled.row.id, enabled.secret) == await house.row(enabled)
    sealed = await house.store.read(lookup.sealed, enabled.row.n, house.clock.wall())
    assert sealed is not None
    assert house.vault.open_account(sealed).account == ACCOUNT
    assert house.vault.open_account(sealed).relay_user == enabled.relay.for_app()[0]
    assert enabled.opening.commitment == enabled.row.commitment


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [(None, 5 * DAY), (3600.0, 3600.0), (30 * DAY, 7 * DAY), (1.0, 60.0)],
)
async def test_d25_the_lifetime_is_the_default_or_what_was_asked_below_the_cap(
    house: House, wanted: float | None, granted: float
) -> None:
    row = (await house.enable(ttl=wanted)).row
    assert row.ttl == granted
    assert row.expires_at == pytest.approx(row.created_at + granted)


async def test_neither_password_nor_secret_nor_token_is_on_disk(house: House) -> None:
    enabled = await house.enable()
    on_disk = house.bytes_on_disk()
    for marker in (PASSWORD, enabled.secret, TOKEN.token, "alice", enabled.relay.for_app()[1]):
        assert marker.encode() not in on_disk
    assert bytes.fromhex(enabled.secret) not in on_disk


async def test_the_same_token_for_the_same_account_ends_the_older_instance(house: House) -> None:
    old = await house.enable()
    new = await house.enable(targets=(TOKEN,))
    assert await house.row(old) is None
    assert not house.vault.holds(old.row)
    assert await house.row(new) is not None
    receipt = await house.lifecycle.receipt(old.row.commitment)
    assert receipt is not None
    assert receipt.reason == "replaced"


async def test_two_accounts_of_one_installation_share_tokens_in_peace(house: House) -> None:
    alice, bob = await house.enable(), await house.enable(account=BOB)
    assert await house.row(alice) is not None
    assert await house.row(bob) is not None


async def test_two_phones_of_one_account_are_two_instances(house: House) -> None:
    one = await house.enable(targets=(TOKEN,))
    two = await house.enable(targets=(replace(TOKEN, token="other-phone"),))
    assert await house.row(one) is not None
    assert await house.row(two) is not None


async def test_a_repeated_request_gets_fresh_secrets_and_the_former_ones_die(house: House) -> None:
    first = await house.enable(idempotency_key="k1")
    again = await house.enable(
        idempotency_key="k1", credential=PasswordCredential(Secret("corrected"))
    )
    assert again.row.id == first.row.id
    assert await house.lifecycle.find(first.row.id, first.secret) is None
    assert await house.lifecycle.find(first.row.id, again.secret) is not None
    assert again.relay.for_app() != first.relay.for_app()
    row = await house.row(again)
    assert row is not None
    assert row.commitment == again.opening.commitment
    assert row.relay_user == again.relay.for_app()[0]
    assert house.vault.holds(row)
    assert not house.vault.holds(first.row)


async def test_a_repeated_request_ends_the_older_instance_that_the_first_could_not_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same when the process was killed in between: the row is there, the older one as well."""
    old = await house.enable()

    async def broken(*_: object) -> None:
        raise VaultError("the keys cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(house.vault, "destroy", broken)
        with pytest.raises(VaultError):
            await house.lifecycle.enable(order(idempotency_key="k1"))
    await house.enable(idempotency_key="k1")
    assert await house.row(old) is None
    assert not house.vault.holds(old.row)


async def test_a_repeated_request_with_the_right_password_revives_a_stopped_instance(
    house: House,
) -> None:
    first = await house.enable(idempotency_key="k1")
    now = house.clock.wall()
    await house.store.write(
        set_state, first.row.n, InstanceState.UNAUTHORIZED, "wrong_password", now
    )
    again = await house.enable(
        idempotency_key="k1", credential=PasswordCredential(Secret("corrected"))
    )
    assert again.row.state is InstanceState.IDLE
    assert again.row.next_attempt_at == pytest.approx(now)
    assert (again.row.contact_token, again.row.call_id) == (
        first.row.contact_token, first.row.call_id,
    )  # fmt: skip
    assert house.registrations.woken[-1] == first.row.n


async def test_a_key_used_for_another_account_or_after_a_deletion_is_a_conflict(
    house: House,
) -> None:
    first = await house.enable(idempotency_key="k1")
    other = order(idempotency_key="k1", account=BOB)
    assert await house.lifecycle.enable(other) is Conflict.MISMATCH
    await house.lifecycle.disable(first.row.id, first.secret)
    assert await house.lifecycle.enable(order(idempotency_key="k1")) is Conflict.DELETED
    assert isinstance(await house.lifecycle.enable(order(idempotency_key="k2")), Enabled)


async def test_an_app_never_has_more_instances_than_it_may(house: House) -> None:
    limited = house.settings.apps[APP].model_copy(update={"max_instances": 1})
    house.settings.apps[APP] = limited  # type: ignore[index]
    await house.enable()
    assert await house.lifecycle.enable(order(account=BOB)) == Full()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"app": "unknown"}, "app_id"),
        ({"account": Account("sip:alice@2130706433")}, "account.aor"),
        (
            {"account": Account("sip:alice@example.org", registrar="sip:0x7f.1")},
            "account.registrar",
        ),
        (
            {"account": Account("sip:a@b.example", outbound_proxy="sip:-bad-")},
            "account.outbound_proxy",
        ),
        ({"account": Account("nonsense")}, "account"),
        ({"account": replace(ACCOUNT, display_name="x" * 3000)}, "account"),
        ({"targets": (VOIP, replace(TOKEN, token="t" * 3000))}, "targets"),
    ],
)
async def test_bad_input_names_its_field_and_leaves_neither_key_nor_row(
    house: House, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(FieldError) as refused:
        await house.lifecycle.enable(order(**changes))
    assert refused.value.field == field
    assert list(house.vault.segments) == []
    assert await house.store.read(lookup.page, house.clock.wall(), limit=1) == []


async def test_a_target_of_a_service_that_the_app_does_not_have_is_refused(house: House) -> None:
    house.settings.apps[APP] = house.settings.apps[APP].model_copy(update={"apns": None})  # type: ignore[index]
    with pytest.raises(FieldError) as refused:
        await house.lifecycle.enable(order(targets=(TOKEN, VOIP)))
    assert refused.value.field == "targets.1.provider"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "169.254.169.254"])
async def test_an_account_at_a_refused_address_is_not_taken(house: House, host: str) -> None:
    with pytest.raises(RefusedAddress):
        await house.lifecycle.enable(order(account=Account(f"sip:alice@{host}")))


async def test_a_row_that_cannot_be_written_leaves_no_key(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.store, "write", full_disk)
    with pytest.raises(StoreError):
        await house.lifecycle.enable(order())
    monkeypatch.undo()
    assert (await house.enable()).row.slot == 0


async def test_a_fresh_instance_is_asked_to_prove_its_token_once(house: House) -> None:
    await house.enable()
    await house.clock.advance(1)
    assert house.announcer.events() == [PushEvent.VERIFY]
    await house.clock.advance(1800)
    assert house.announcer.events() == [PushEvent.VERIFY]
