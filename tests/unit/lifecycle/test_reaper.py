from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.errors import StoreError
from sipis.lifecycle import ReplaceOrder
from sipis.model import Account, InstanceState, PushEvent
from sipis.secret import Secret
from sipis.store import notes
from sipis.store.schedule import Settlement, claim, settle
from sipis.vault import PasswordCredential
from tests.support.lifecycle import House, build, running, settings
from tests.support.store import set_state

HOUR = 3600.0
BOB = Account("sip:bob@other.example")
CREDENTIAL = PasswordCredential(Secret("another"))


async def register(house: House, n: int) -> None:
    now = house.clock.wall()
    (claimed,) = [one for one in await house.store.write(claim, now, limit=10) if one.n == n]
    done = Settlement(
        n, claimed.generation, claimed.cseq, now + 300, InstanceState.REGISTERED, granted=600
    )
    assert (await house.store.write(settle, [done], now)).counted == {n}


async def test_d8_an_instance_dies_within_a_second_of_its_time(house: House) -> None:
    enabled = await house.enable(ttl=60.0)
    await house.clock.advance(59.9)
    assert house.vault.holds(enabled.row)
    await house.clock.advance(1.0)
    assert not house.vault.holds(enabled.row)
    receipt = await house.lifecycle.receipt(enabled.row.commitment)
    assert receipt is not None
    assert receipt.reason == "expired"
    assert house.registrations.sent == [f"farewell {enabled.row.n}"]


async def test_d24_a_clock_set_back_keeps_nothing_alive(house: House) -> None:
    enabled = await house.enable(ttl=60.0)
    house.clock.jump(-7 * 86_400)
    await house.clock.advance(61)
    assert not house.vault.holds(enabled.row)


async def test_a_clock_set_ahead_ends_nothing_at_once(house: House) -> None:
    enabled = await house.enable()
    house.clock.jump(7 * 86_400)
    await house.clock.advance(10)
    assert house.vault.holds(enabled.row)
    await house.clock.advance(HOUR + 60)
    assert not house.vault.holds(enabled.row)


async def test_d20_an_account_that_never_registered_dies_after_twelve_hours(house: House) -> None:
    never, once = await house.enable(), await house.enable(targets=())
    await register(house, once.row.n)
    await house.clock.advance(12 * HOUR - 120)
    assert house.vault.holds(never.row)
    await house.clock.advance(240)
    assert not house.vault.holds(never.row)
    assert house.vault.holds(once.row)
    receipt = await house.lifecycle.receipt(never.row.commitment)
    assert receipt is not None
    assert receipt.reason == "never_registered"


async def test_another_account_has_its_own_twelve_hours_to_register(house: House) -> None:
    enabled = await house.enable()
    await register(house, enabled.row.n)
    await house.clock.advance(12.1 * HOUR)
    row = await house.lifecycle.replace(enabled.row, ReplaceOrder(BOB, CREDENTIAL))
    assert row is not None
    await house.clock.advance(12 * HOUR - 120)
    assert house.vault.holds(row)
    await house.clock.advance(240)
    assert not house.vault.holds(row)


async def test_refused_credentials_die_after_twelve_hours_and_the_app_hears_at_once(
    house: House,
) -> None:
    enabled = await house.enable()
    await register(house, enabled.row.n)
    n, now = enabled.row.n, house.clock.wall()
    await house.store.write(set_state, n, InstanceState.UNAUTHORIZED, "wrong_password", now)
    house.lifecycle.on_state(n, enabled.row.id, InstanceState.UNAUTHORIZED, "wrong_password")
    await house.clock.advance(1)
    assert PushEvent.EXPIRING in house.announcer.events()
    await house.clock.advance(12 * HOUR + 120)
    assert not house.vault.holds(enabled.row)


async def test_an_app_is_warned_once_of_its_expiry(house: House) -> None:
    enabled = await house.enable(ttl=24 * HOUR + 240)
    await register(house, enabled.row.n)
    await house.clock.advance(12 * HOUR)
    assert PushEvent.EXPIRING not in house.announcer.events()
    await house.clock.advance(600)
    assert house.announcer.events().count(PushEvent.EXPIRING) == 1


async def test_a_life_that_was_meant_to_be_short_brings_no_warning(house: House) -> None:
    await house.enable(ttl=HOUR)
    await house.clock.advance(HOUR - 10)
    assert PushEvent.EXPIRING not in house.announcer.events()


async def test_a_restart_does_not_forget_how_late_it_was(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(build(tmp_path / "data", clock, settings(tmp_path))) as house:
        enabled = await house.enable(ttl=HOUR)
        await clock.advance(1800)
        assert await house.store.read(notes.get, "lifecycle.calendar") is not None
    clock = ManualClock(clock.wall() - 7 * 86_400)
    again = build(tmp_path / "data", clock, settings(tmp_path))
    await again.lifecycle.recover()
    async with running(again):
        await clock.advance(1800 + 60)
        assert not again.vault.holds(enabled.row)


async def test_a_database_that_fails_for_a_while_delays_an_end_and_prevents_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable(ttl=60.0)

    async def broken(*_: object, **__: object) -> None:
        raise StoreError("disk I/O error")

    monkeypatch.setattr(house.store, "read", broken)
    monkeypatch.setattr(house.store, "write", broken)
    await house.clock.advance(180)
    assert house.vault.holds(enabled.row)
    monkeypatch.undo()
    await house.clock.advance(1)
    assert not house.vault.holds(enabled.row)
    assert await house.lifecycle.receipt(enabled.row.commitment) is not None
