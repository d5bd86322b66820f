import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from sipis.audit import (
    PENDING,
    SIGNED,
    UNSIGNED,
    LogSettings,
    Notary,
    Receipt,
    Surroundings,
    chronicle,
    receipt_for,
)
from sipis.audit.checkpoints import split
from sipis.audit.leaf import Kind
from sipis.audit.notary import PART
from sipis.audit.verifier.forms import read_checkpoint, read_checkpoints, read_keys
from sipis.audit.verifier.receipt import verify_receipt
from sipis.audit.verifier.rules import Limits
from sipis.errors import ConfigError, StoreError
from sipis.model import DeletionReason
from sipis.observe.metrics import Metrics
from sipis.store import leaves
from sipis.vault.signer import verify_ed25519
from tests.support.tlog import (
    DAY,
    NOW,
    ORIGIN,
    House,
    MemoryKey,
    birth,
    death,
    is_consistent,
    lives,
    name,
    verify,
)

LAX = Limits(epoch=10**9, roll=10**9, canary=10**9)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path / "house")
    await made.notary.open()
    yield made
    await made.store.close()


def receipt(number: int) -> Receipt:
    return receipt_for(name(number), DeletionReason.DISABLED, NOW)


async def test_l2_a_receipt_is_signed_and_verifies(house: House) -> None:
    await house.append(birth(1), death(1))
    vouched = await house.notary.vouch(receipt(1))
    assert vouched.signature == SIGNED
    proven = verify_receipt(vouched.proof, house.verifier_keys(), verify_ed25519)
    assert proven.leaf["c"] == name(1).hex()
    assert vouched.leaf.encode() in await house.lines()


async def test_what_the_log_does_not_know_stays_unsigned(house: House) -> None:
    assert (await house.notary.vouch(receipt(1))).signature == UNSIGNED


async def test_a_receipt_asked_for_later_needs_no_further_signature(house: House) -> None:
    await house.append(birth(1), death(1))
    first = await house.notary.vouch(receipt(1))
    signed = len(house.keys[0].signed)
    assert await house.notary.vouch(receipt(1)) == first
    assert len(house.keys[0].signed) == signed


async def test_those_who_wait_at_the_same_time_share_a_signature(house: House) -> None:
    await house.append(*(birth(i) for i in range(50)), *(death(i) for i in range(50)))
    vouched = await asyncio.gather(*(house.notary.vouch(receipt(i)) for i in range(50)))
    assert {it.signature for it in vouched} == {SIGNED}
    assert len(house.keys[0].signed) == 1


async def test_l11_a_broken_key_delays_the_proof_and_nothing_else(house: House) -> None:
    house.keys[0].broken = True
    await house.append(birth(1), death(1))
    pending = await house.notary.vouch(receipt(1))
    assert (pending.signature, pending.proof) == (PENDING, "")
    assert pending.leaf
    assert PART in str(house.health.report())
    house.keys[0].broken = False
    assert (await house.notary.vouch(receipt(1))).signature == SIGNED
    assert PART not in str(house.health.report()["troubles"])


async def test_l11_a_key_that_cannot_be_read_at_the_start_is_read_later(tmp_path: Path) -> None:
    house, there = House(tmp_path / "house"), False

    def signers() -> list[MemoryKey]:
        if not there:
            raise ConfigError("audit.key_file", "cannot be read")
        return [MemoryKey()]

    around = Surroundings(
        house.store, house.clock, Metrics(), house.health, house.checkpoints, signers
    )
    notary = Notary(around, LogSettings(ORIGIN, 400 * DAY))
    await notary.open()
    await house.append(birth(1), death(1))
    assert (await notary.vouch(receipt(1))).signature == PENDING
    assert notary.verifier_keys() == []
    there = True
    assert (await notary.vouch(receipt(1))).signature == SIGNED
    await house.store.close()


async def test_checkpoints_are_published_when_something_changed(house: House) -> None:
    await house.notary.work()
    first = house.published()
    await house.notary.work()
    assert house.published() == first
    await house.append(birth(1))
    await house.notary.work()
    assert len(split(house.published())) == 2


async def test_published_checkpoints_come_at_most_once_a_minute(house: House) -> None:
    running = asyncio.get_running_loop().create_task(house.notary.run())
    for second in range(150):
        await house.append(birth(second))
        await house.clock.advance(1)
        async with asyncio.timeout(5):
            await asyncio.to_thread(lambda: None)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert 2 <= len(split(house.published())) <= 3


async def test_the_living_are_counted_once_a_day(house: House) -> None:
    for _ in range(50):
        await house.notary.work()
        await house.clock.advance(3600)
    totals = await house.store.read(leaves.totals)
    assert totals[Kind.CENSUS] == 3


async def test_l12_a_new_key_is_announced_by_a_leaf_and_both_sign(house: House) -> None:
    await house.append(birth(1))
    await house.notary.work()
    old, new = house.keys[0], MemoryKey(b"n" * 32)
    house.keys = [new, old]
    await house.reopen()
    await house.notary.work()
    lines = await house.lines()
    announced = [line for line in lines if b'"type":"log_key"' in line]
    assert new.public_key.hex().encode() in announced[-1]
    checkpoint = split(house.published())[-1]
    assert len(read_checkpoint(checkpoint).signatures) == 2
    new_key, old_key = house.verifier_keys()
    for known in ([old_key], [new_key], [old_key, new_key]):
        assert not verify(lines, [read_checkpoint(checkpoint)], known, LAX).findings


async def test_checkpoints_of_a_key_that_was_retired_accuse_nobody(house: House) -> None:
    """The leaves lead to them, and to what the new key signed after it was announced."""
    await house.append(birth(1))
    await house.notary.work()
    old, new = house.keys[0], MemoryKey(b"n" * 32)
    for keys in ([new, old], [new]):
        house.keys = keys
        await house.reopen()
        await house.notary.work()
    report = await house.verified(limits=LAX)
    assert report.findings == []
    assert "1 checkpoints are of a key from before leaf 4 alone" in report.notices
    lines, first = await house.lines(), read_checkpoints(house.published())[:1]
    assert verify(lines, first, house.verifier_keys(), LAX).findings


async def test_l5_checkpoints_of_many_restarts_continue_each_other(tmp_path: Path) -> None:
    chance, house = random.Random(5), House(tmp_path / "house")
    await house.notary.open()
    appended = 0
    while appended < 10_000:
        batch = lives(chance, chance.randrange(1, 400))
        await house.append(*batch)
        appended += len(batch)
        await house.notary.work()
        if chance.random() < 0.3:
            await house.reopen()
    heads = [(it.size, it.root) for it in read_checkpoints(house.published())]
    assert len(heads) > 30
    for old, new in pairwise(heads):
        path = await house.store.read(chronicle.consistency, old[0], new[0])
        assert is_consistent(old, new, path)
    await house.store.close()


async def test_a_log_that_lost_leaves_goes_on_under_another_name(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    await house.notary.open()
    await house.append(birth(1))
    await house.store.close()
    backup = {it: it.read_bytes() for it in house.folder.glob("*.db")}
    await house.start()
    await house.append(birth(2))
    await house.notary.work()
    await house.store.close()
    for path, content in backup.items():
        path.write_bytes(content)
    await house.start()
    await house.append(birth(3))
    await house.notary.work()
    signed = read_checkpoints(house.published())
    assert [it.origin for it in signed] == [ORIGIN, f"{ORIGIN}/line-2"]
    report = await house.verified(limits=LAX)
    assert not report.findings
    assert any("restored" in it for it in report.notices)
    await house.store.close()


async def test_lines_and_checkpoints_are_dropped_after_their_time(house: House) -> None:
    await house.append(birth(1))
    await house.notary.work()
    await house.clock.advance(402 * DAY)
    await house.append(birth(2, house.clock.wall()))
    await house.notary.work()
    lines = await house.lines()
    assert lines[0].startswith(b'{"seq":0,"hash":"')
    assert len(house.checkpoints.days()) == 1
    assert not (await house.verified(limits=LAX)).findings


async def test_events_wait_while_the_database_takes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StoreError("full")

    before = len(await house.lines())
    with monkeypatch.context() as patch:
        patch.setattr(house.store, "write", refuse)
        await house.notary.epoch_rolled(1, 2)
        await house.notary.overridden("keys.allow_copy_on_write")
    await house.notary.work()
    told = (await house.lines())[before:]
    assert [b"epoch_rolled" in told[0], b"keys_allow_copy_on_write" in told[1]] == [True, True]


async def test_a_roll_of_which_nobody_could_tell_is_told_at_the_next_start(house: House) -> None:
    await house.notary.epoch_found(1)
    await house.notary.epoch_rolled(1, 2)
    before = await house.lines()
    await house.notary.epoch_found(2)
    assert await house.lines() == before
    await house.notary.epoch_found(4)
    (told,) = (await house.lines())[len(before) :]
    assert b'"epoch_before":2,"epoch_after":4' in told


async def test_a_canary_tells_what_it_left(house: House) -> None:
    await house.notary.canary(name(1), 0)
    await house.notary.canary(name(2), 3)
    passed, failed = (await house.lines())[-2:]
    assert b'"type":"canary_ok"' in passed
    assert b'"count":3' in failed


async def test_keys_lost_and_rows_purged_are_told(house: House) -> None:
    await house.notary.keyloss(5)
    await house.notary.restored(7)
    lost, purged = (await house.lines())[-2:]
    assert b'"type":"keyloss"' in lost
    assert b'"type":"restore"' in purged


async def test_the_verifier_keys_are_those_that_sign(house: House) -> None:
    (key,) = read_keys("\n".join(house.notary.verifier_keys()))
    assert (key.name, key.public) == (ORIGIN, house.keys[0].public_key)
