import asyncio
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.errors import StoreError, VaultError
from sipis.lifecycle.resealing import keeping
from sipis.sip.digest import DigestChallenge
from sipis.store import lookup, slots
from sipis.vault import Authorized, OpenedAccount
from tests.support.lifecycle import House, build, full_disk, running, settings
from tests.support.vault import TOKEN


async def opened(house: House, n: int) -> OpenedAccount:
    sealed = await house.store.read(lookup.sealed, n, house.clock.wall())
    assert sealed is not None
    return house.vault.open_account(sealed)


async def test_k10_a_password_that_has_succeeded_is_retired(house: House) -> None:
    enabled = await house.enable()
    n = enabled.row.n
    before = await house.row(enabled)
    assert (await opened(house, n)).password_based
    house.lifecycle.on_proven(n, ["example.org"])
    await house.clock.advance(1)
    assert not (await opened(house, n)).password_based
    assert not house.vault.holds(enabled.row)
    assert await house.store.read(slots.owed) == []
    after = await house.row(enabled)
    assert before is not None
    assert after is not None
    assert after.generation == before.generation
    house.lifecycle.on_proven(n, ["example.org"])
    await house.clock.advance(1)
    assert await house.row(enabled) == after


async def test_a_retired_password_leaves_what_answers_in_every_realm_it_was_used_in(
    house: House,
) -> None:
    enabled = await house.enable()
    house.lifecycle.on_proven(enabled.row.n, ["proxy.example", "example.org"])
    await house.clock.advance(1)
    account = await opened(house, enabled.row.n)
    for realm in ("proxy.example", "example.org"):
        challenge = DigestChallenge(realm, "a-nonce")
        answer = account.authorize(
            [challenge], method="REGISTER", uri="sip:example.org", cnonce="c", remembered=None
        )
        assert isinstance(answer, Authorized)
        assert not answer.password_based


async def test_a_password_is_kept_where_the_operator_says_so(tmp_path: Path) -> None:
    chosen = settings(tmp_path, ha1="keep")
    async with running(build(tmp_path / "data", ManualClock(), chosen)) as house:
        enabled = await house.enable()
        house.lifecycle.on_proven(enabled.row.n, ["example.org"])
        await house.clock.advance(1)
        assert (await opened(house, enabled.row.n)).password_based


async def test_changes_at_the_same_time_follow_one_another(house: House) -> None:
    enabled = await house.enable()
    n = enabled.row.n
    house.lifecycle.on_proven(n, ["example.org"])
    await asyncio.gather(
        house.lifecycle.refresh(enabled.row, None, (TOKEN,)),
        house.lifecycle.refresh(enabled.row, None, ()),
    )
    await house.clock.advance(1)
    row = await house.row(enabled)
    assert row is not None
    assert house.vault.holds(row)
    assert not (await opened(house, n)).password_based
    held = [slot for slot in range(8) if slot != row.slot]
    assert not any(house.vault._slots.holds(slot, row.id) for slot in held)


async def test_a_row_that_cannot_move_keeps_its_old_key_and_the_new_one_dies(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()
    monkeypatch.setattr(house.store, "write", full_disk)
    with pytest.raises(StoreError):
        await house.lifecycle.refresh(enabled.row, None, (TOKEN,))
    monkeypatch.undo()
    assert house.vault.holds(enabled.row)
    assert not house.vault._slots.holds(1, enabled.row.id)
    assert (await opened(house, enabled.row.n)).password_based


async def test_an_instance_without_its_key_or_row_is_not_sealed_anew(house: House) -> None:
    lost, ended = await house.enable(), await house.enable(targets=())
    await house.vault.destroy([lost.row])
    await house.lifecycle.delete(ended.row.id)
    for enabled in (lost, ended):
        assert await house.lifecycle._resealing.reseal(enabled.row.n, keeping) is None
        assert not await house.lifecycle._resealing.retire_password(enabled.row.n, ["example.org"])
    assert not house.vault._slots.held(0)


async def test_a_full_key_store_is_no_missing_instance(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = await house.enable()

    async def full(*_: object, **__: object) -> None:
        raise VaultError("no room for another key segment")

    monkeypatch.setattr(house.vault, "readmit", full)
    with pytest.raises(VaultError):
        await house.lifecycle.refresh(enabled.row, None, (TOKEN,))
    assert house.vault.holds(enabled.row)
