import math
from dataclasses import replace

import pytest

from sipis.errors import FieldError
from sipis.lifecycle import Enabled, ReplaceOrder
from sipis.model import Account, InstanceState, Mode, PushEvent, PushTarget
from sipis.secret import Secret
from sipis.store import lookup, slots, targets
from sipis.store.lookup import InstanceRow
from sipis.vault import OpenedAccount, PasswordCredential
from tests.support.lifecycle import House
from tests.support.store import set_state
from tests.support.vault import ACCOUNT, TOKEN, VOIP

NEW_TOKEN = replace(TOKEN, token="another-token")
BOB = Account("sip:bob@other.example")
CREDENTIAL = PasswordCredential(Secret("new"))


async def opened(house: House, row: InstanceRow) -> tuple[OpenedAccount, tuple[PushTarget, ...]]:
    sealed = await house.store.read(lookup.sealed, row.n, house.clock.wall())
    assert sealed is not None
    return house.vault.open_account(sealed), house.vault.open_targets(sealed).targets


async def replaced(house: House, enabled: Enabled, order: ReplaceOrder) -> InstanceRow:
    row = await house.lifecycle.replace(enabled.row, order)
    assert row is not None
    return row


async def test_another_account_starts_anew_under_fresh_names(house: House) -> None:
    enabled = await house.enable(push_key=b"k" * 32)
    row = await replaced(house, enabled, ReplaceOrder(BOB, CREDENTIAL))
    assert row.registrar == "other.example"
    assert row.contact_token != enabled.row.contact_token
    assert row.call_id != enabled.row.call_id
    assert not house.vault.holds(enabled.row)
    account, kept = await opened(house, row)
    assert account.account == BOB
    assert kept == (VOIP, TOKEN)
    assert await house.store.read(slots.owed) == []


async def test_the_old_registrar_is_told_when_the_account_goes_and_only_then(house: House) -> None:
    enabled = await house.enable()
    await replaced(house, enabled, ReplaceOrder(ACCOUNT, CREDENTIAL))
    assert house.registrations.sent == []
    await replaced(house, enabled, ReplaceOrder(BOB, CREDENTIAL))
    assert house.registrations.sent == [f"move {enabled.row.n}"]
    assert house.journal[-2:] == ["move written", "farewells sent"]


async def test_another_password_keeps_the_binding_and_revives_a_stopped_instance(
    house: House,
) -> None:
    enabled = await house.enable()
    now = house.clock.wall()
    await house.store.write(
        set_state, enabled.row.n, InstanceState.UNAUTHORIZED, "wrong_password", now
    )
    row = await replaced(house, enabled, ReplaceOrder(ACCOUNT, CREDENTIAL))
    assert (row.contact_token, row.call_id) == (enabled.row.contact_token, enabled.row.call_id)
    assert row.state is InstanceState.IDLE
    assert row.next_attempt_at is not None
    assert row.next_attempt_at <= house.clock.wall()
    assert house.registrations.woken.count(row.n) >= 2


async def test_mode_lifetime_and_preview_change_without_a_new_key(house: House) -> None:
    enabled = await house.enable()
    order = ReplaceOrder(mode=Mode.TAKEOVER, ttl=120.0, preview=True)
    row = await replaced(house, enabled, order)
    assert (row.mode, row.preview, row.ttl) == (Mode.TAKEOVER, True, 120.0)
    assert row.slot == enabled.row.slot


async def test_a_push_key_alone_is_taken_and_the_targets_stay(house: House) -> None:
    enabled = await house.enable()
    row = await replaced(house, enabled, ReplaceOrder(push_key=b"z" * 32))
    sealed = await house.store.read(lookup.sealed, row.n, house.clock.wall())
    assert sealed is not None
    assert house.vault.open_targets(sealed).push_key == b"z" * 32
    assert (await opened(house, row))[1] == (VOIP, TOKEN)


async def test_a_refresh_extends_from_now_and_never_beyond_the_cap(house: House) -> None:
    enabled = await house.enable(ttl=3600.0)
    await house.clock.advance(1800)
    row = await house.lifecycle.refresh(enabled.row, None, None)
    assert row is not None
    assert row.expires_at == pytest.approx(house.clock.wall() + 3600, abs=0.01)
    row = await house.lifecycle.refresh(enabled.row, 1e9, None)
    assert row is not None
    assert row.ttl == house.settings.policy.ttl_max


async def test_a_refresh_with_the_same_tokens_renews_them_without_a_new_key(house: House) -> None:
    enabled = await house.enable()
    await house.clock.advance(100)
    row = await house.lifecycle.refresh(enabled.row, None, (TOKEN, VOIP))
    assert row is not None
    assert row.slot == enabled.row.slot
    rows = await house.store.read(targets.list_for, row.n)
    assert all(one.registered_at > enabled.row.created_at + 99 for one in rows)


async def test_a_refresh_with_other_tokens_takes_those_and_asks_for_their_proof(
    house: House,
) -> None:
    enabled = await house.enable()
    await house.clock.advance(1)
    row = await house.lifecycle.refresh(enabled.row, None, (NEW_TOKEN,))
    await house.clock.advance(1)
    assert row is not None
    assert (await opened(house, row))[1] == (NEW_TOKEN,)
    assert not house.vault.holds(enabled.row)
    assert house.announcer.events() == [PushEvent.VERIFY, PushEvent.VERIFY]
    assert [one.target for one in house.announcer.pushed[-1][1]] == [NEW_TOKEN]


async def test_an_ended_instance_is_neither_changed_nor_given_a_key(house: House) -> None:
    enabled = await house.enable()
    await house.lifecycle.delete(enabled.row.id)
    for answer in (
        await house.lifecycle.replace(enabled.row, ReplaceOrder(BOB, CREDENTIAL)),
        await house.lifecycle.refresh(enabled.row, None, (NEW_TOKEN,)),
        await house.lifecycle.refresh(enabled.row, None, None),
        await house.lifecycle.background(enabled.row),
        await house.lifecycle.foreground(enabled.row, None),
    ):
        assert answer is None
    assert not any(house.vault.holds(replace(enabled.row, slot=slot)) for slot in range(4))


async def test_bad_input_changes_nothing(house: House) -> None:
    enabled = await house.enable()
    with pytest.raises(FieldError):
        await house.lifecycle.replace(
            enabled.row, ReplaceOrder(Account("sip:a@0x7f.1"), CREDENTIAL)
        )
    assert await house.row(enabled) == enabled.row


async def test_a_continuous_instance_keeps_its_registration_in_the_foreground(
    house: House,
) -> None:
    enabled = await house.enable()
    row = await house.lifecycle.foreground(enabled.row, 600)
    assert row is not None
    assert row.foreground_until is None
    assert house.registrations.withdrawn == []


@pytest.mark.parametrize(("wanted", "lease"), [(None, 900), (60.0, 60), (5000.0, 900)])
async def test_an_alternating_app_gets_a_lease_and_our_binding_goes(
    house: House, wanted: float | None, lease: float
) -> None:
    enabled = await house.enable(mode=Mode.ALTERNATE)
    row = await house.lifecycle.foreground(enabled.row, wanted)
    await house.clock.advance(0.1)
    assert row is not None
    assert row.foreground_until == pytest.approx(house.clock.wall() + lease, abs=0.5)
    assert row.next_attempt_at == row.foreground_until
    assert house.registrations.withdrawn == [row.n]


async def test_a_takeover_stops_silently_until_the_app_gives_it_back(house: House) -> None:
    enabled = await house.enable(mode=Mode.TAKEOVER)
    row = await house.lifecycle.foreground(enabled.row, None)
    assert row is not None
    assert row.foreground_until == math.inf
    assert house.registrations.aborted == [row.n]
    assert house.registrations.withdrawn == []
    back = await house.lifecycle.background(row)
    assert back is not None
    assert back.foreground_until is None
    assert back.next_attempt_at is not None
    assert back.next_attempt_at <= house.clock.wall()
