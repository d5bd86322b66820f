"""What an auditor's program finds in a log that was tampered with, or that broke a promise."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sipis.audit.commitment import Opening
from sipis.audit.leaf import Kind, Leaf
from sipis.audit.note import Head, checkpoint, verifier_key
from sipis.audit.verifier.forms import (
    Checkpoint,
    Key,
    Unproven,
    read_checkpoint,
    read_checkpoints,
    read_keys,
)
from sipis.audit.verifier.rules import Limits
from sipis.audit.verifier.tree import GrowingTree, leaf_hash
from sipis.model import DeletionReason, InstanceId
from tests.support.tlog import (
    DAY,
    NOW,
    ORIGIN,
    House,
    MemoryKey,
    birth,
    death,
    name,
    roll,
    verify,
)

MINUTE = 60.0
LAX = Limits(epoch=10**9, roll=10**9, canary=10**9)


@dataclass(frozen=True)
class Export:
    """An honest log of a dozen leaves with two checkpoints."""

    lines: list[bytes]
    checkpoints: str
    house: House

    def findings(self, lines: list[bytes] | None = None, checkpoints: str = "") -> list[str]:
        try:
            read = read_checkpoints(checkpoints or self.checkpoints)
        except Unproven as wrong:
            return [str(wrong)]
        return verify(lines or self.lines, read, self.house.verifier_keys(), LAX).findings


@pytest.fixture
async def export(tmp_path: Path) -> AsyncIterator[Export]:
    house = House(tmp_path / "house")
    await house.notary.open()
    await house.append(birth(1), birth(2))
    await house.notary.work()
    await house.append(death(1), roll(1), birth(3), death(3, reason=DeletionReason.EXPIRED))
    await house.notary.canary(name(9), 0)
    await house.notary.work()
    yield Export(await house.lines(), house.published(), house)
    await house.store.close()


def mutations(data: bytes) -> list[bytes]:
    """The same bytes with each single one changed, in two ways."""
    return [
        data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :]
        for i in range(len(data))
        for flip in (1, 0x40)
    ]


def test_an_honest_log_has_no_findings(export: Export) -> None:
    assert export.findings() == []


def test_l3_every_changed_byte_of_every_leaf_is_found(export: Export) -> None:
    for number, line in enumerate(export.lines):
        for changed in mutations(line):
            lines = [*export.lines[:number], changed, *export.lines[number + 1 :]]
            assert export.findings(lines), (number, changed)


def test_l3_every_changed_byte_of_every_checkpoint_is_found(export: Export) -> None:
    for changed in mutations(export.checkpoints.encode()):
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        assert export.findings(checkpoints=text), changed


def test_l3_a_leaf_taken_out_or_put_in_is_found(export: Export) -> None:
    for number in range(len(export.lines)):
        without = export.lines[:number] + export.lines[number + 1 :]
        twice = export.lines[: number + 1] + export.lines[number:]
        assert export.findings(without)
        assert export.findings(twice)


@pytest.mark.parametrize("count", range(1, 6))
def test_l4_the_last_leaves_taken_off_are_found(export: Export, count: int) -> None:
    assert export.findings(export.lines[:-count])


async def test_l4_a_log_cut_and_signed_anew_is_found_by_a_kept_checkpoint(
    export: Export, tmp_path: Path
) -> None:
    kept = read_checkpoints(export.checkpoints)
    other = House(tmp_path / "other")
    await other.notary.open()
    await other.append(birth(1), birth(2))
    await other.notary.work()
    lines, signed = await other.lines(), read_checkpoints(other.published())
    await other.store.close()
    assert not verify(lines, signed, export.house.verifier_keys(), LAX).findings
    assert verify(lines, [*kept, *signed], export.house.verifier_keys(), LAX).findings


def test_l8_without_the_salt_no_leaf_leads_to_an_id() -> None:
    ids = [InstanceId(f"{number:032x}") for number in range(200)]
    told = {Opening(one, one.encode()).commitment for one in ids}
    guesses = {Opening(one, salt).commitment for one in ids for salt in (b"", bytes(32))}
    assert not told & guesses


def findings(*leaves: Leaf, limits: Limits = LAX) -> list[str]:
    """What breaks a promise in an honest record of these leaves."""
    lines = [leaf.line(seq, "ab") for seq, leaf in enumerate(leaves)]
    return verify(lines, [signed(lines)], keys(), limits).findings


def signed(lines: list[bytes]) -> Checkpoint:
    tree = GrowingTree()
    for line in lines:
        tree.add(leaf_hash(line))
    head = Head(tree.size, tree.root())
    return read_checkpoint(checkpoint(ORIGIN, head, ORIGIN, [MemoryKey()]).text)


def keys() -> list[Key]:
    return read_keys(verifier_key(ORIGIN, MemoryKey().public_key))


def census(count: int, now: float = NOW) -> Leaf:
    return Leaf(Kind.CENSUS, now, count=count)


def test_l9_a_destruction_within_a_minute_of_the_deadline_is_in_time() -> None:
    assert not findings(birth(1, ttl=60), death(1, NOW + 119, deadline=NOW + 60))


@pytest.mark.parametrize("late", [61, 120, 100_000])
def test_l9_a_destruction_later_than_that_is_found(late: float) -> None:
    assert findings(birth(1, ttl=60), death(1, NOW + 60 + late, deadline=NOW + 60))


def test_a_key_that_was_lost_before_is_held_to_no_deadline_once_the_loss_was_told() -> None:
    lost = death(1, NOW + 7200, deadline=NOW + 60, reason=DeletionReason.KEY_LOST)
    for told in (Leaf(Kind.RESTORE, NOW, c=name(9), count=3), Leaf(Kind.KEYLOSS, NOW, count=1)):
        assert not findings(birth(1, ttl=60), told, lost)
    assert findings(birth(1, ttl=60), lost)


def test_l9_a_lie_about_the_lateness_is_found_by_the_minute() -> None:
    lie = Leaf(
        Kind.DESTROYED, NOW + 600, c=name(1), reason=DeletionReason.EXPIRED,
        deadline=NOW + 60, lateness=0, epoch_before=1,
    )  # fmt: skip
    assert findings(birth(1, ttl=60), lie)


def test_l9_an_instance_that_never_ends_is_found() -> None:
    assert findings(birth(1, ttl=60), census(1, NOW + 60 + 10 * MINUTE))


def test_l9_a_deadline_that_moved_without_a_refresh_is_found() -> None:
    assert findings(birth(1, ttl=60), death(1, NOW + 600, deadline=NOW + 600))


def test_a_refresh_moves_the_deadline_while_the_instance_lives() -> None:
    moved = Leaf(Kind.REFRESH, NOW + 30, c=name(1), deadline=NOW + 600)
    assert not findings(birth(1, ttl=60), moved, death(1, NOW + 600, deadline=NOW + 600))
    late = Leaf(Kind.REFRESH, NOW + 300, c=name(1), deadline=NOW + 600)
    assert findings(birth(1, ttl=60), late, death(1, NOW + 600, deadline=NOW + 600))
    assert findings(moved, death(1, NOW + 600, deadline=NOW + 600))


def test_lives_that_begin_twice_or_end_unborn_are_found() -> None:
    assert findings(birth(1), birth(1))
    assert findings(death(1))
    assert findings(birth(1), death(1), death(1))


def test_l1_a_census_that_differs_from_the_log_is_found() -> None:
    assert not findings(birth(1), birth(2), death(1), census(1))
    assert findings(birth(1), birth(2), census(1))


def test_l9_an_epoch_that_does_not_rise_is_found() -> None:
    assert not findings(roll(1), roll(2))
    assert findings(roll(2), roll(1))
    assert findings(roll(1), roll(1))


def test_l9_an_epoch_that_was_left_out_is_found() -> None:
    assert findings(roll(1), roll(3))
    assert not findings(roll(5), Leaf(Kind.KEYLOSS, NOW, count=3), roll(1))


AGES = Limits(epoch=3600, roll=60, canary=3600)


def test_l9_an_epoch_older_than_the_limit_is_found() -> None:
    ok = [Leaf(Kind.CANARY_OK, NOW + i * 3000, c=name(i)) for i in range(4)]
    assert not findings(roll(1), ok[0], roll(2, NOW + 3000), ok[1], limits=AGES)
    assert findings(roll(1), ok[0], ok[1], roll(2, NOW + 4000), ok[2], limits=AGES)
    assert findings(roll(1), *ok, limits=AGES)


def test_a_deletion_without_a_roll_in_time_is_found() -> None:
    ended = (birth(1), death(1))
    assert not findings(*ended, roll(1, NOW + 60), limits=AGES)
    assert findings(*ended, roll(1, NOW + 300), limits=AGES)
    assert findings(*ended, census(0, NOW + 300), limits=AGES)


def test_a_server_that_was_away_owes_no_roll_for_that_time() -> None:
    started = Leaf(Kind.CONFIG, NOW + 2 * DAY, notice="started")
    after = (roll(1, NOW + 2 * DAY), census(0, NOW + 2 * DAY + 60))
    assert not findings(birth(1), death(1), started, *after, limits=AGES)
    lines = [leaf.line(seq, "ab") for seq, leaf in enumerate((birth(1), death(1), started, *after))]
    report = verify(lines, [signed(lines)], keys(), AGES)
    assert report.notices == [
        "leaf 2: 1 deletions waited 2880 minutes for a roll: the server was away"
    ]


def test_a_destruction_that_a_full_disk_kept_from_the_log_is_judged_by_its_own_roll() -> None:
    """Its leaf comes after that of the roll, which waited for the same disk."""
    later = roll(2, NOW + 3000)
    assert not findings(birth(1), roll(1, NOW + 60), death(1), later, limits=AGES)
    assert findings(birth(1), roll(1, NOW + 300), death(1), later, limits=AGES)
    assert findings(birth(1), roll(1), death(1, NOW + 300), later, limits=AGES)


def hidden(line: bytes, seq: int) -> bytes:
    """A line as it is exported when its time is over."""
    return b'{"seq":%d,"hash":"%s"}' % (seq, leaf_hash(line).hex().encode())


def test_leaves_whose_time_is_over_are_told_of_and_one_left_out_among_others_is_found() -> None:
    leaves = (birth(1), birth(2), death(1, NOW + 3 * DAY, deadline=NOW + DAY), census(1))
    lines = [leaf.line(seq, "ab") for seq, leaf in enumerate(leaves)]
    checkpoints = [signed(lines)]
    older = [hidden(line, seq) for seq, line in enumerate(lines[:2])]
    aged = verify([*older, *lines[2:]], checkpoints, keys(), LAX)
    assert "the first 2 leaves are there as hashes alone; told is what follows" in aged.notices
    without = [*lines[:2], hidden(lines[2], 2), lines[3]]
    report = verify(without, checkpoints, keys(), LAX)
    assert report.findings == ["leaf 2: left out, although earlier ones are told"]


def test_l10_a_failed_canary_and_a_missing_one_are_found() -> None:
    assert findings(Leaf(Kind.CANARY_FAIL, NOW, c=name(1), count=2))
    rolls = [roll(i + 1, NOW + i * 3000) for i in range(4)]
    assert findings(*rolls, limits=AGES)


def test_overrides_and_lost_keys_are_shown() -> None:
    lines = [
        Leaf(Kind.CONFIG, NOW, notice="keys_allow_copy_on_write").line(0, "ab"),
        Leaf(Kind.KEYLOSS, NOW, count=3).line(1, "ab"),
        Leaf(Kind.RESTORE, NOW, count=3).line(2, "ab"),
    ]
    report = verify(lines, [signed(lines)], keys(), LAX)
    assert len(report.notices) == 3
    assert not report.findings


def test_leaves_after_the_newest_checkpoint_are_shown_as_unsigned() -> None:
    lines = [birth(number).line(number, "ab") for number in range(3)]
    report = verify(lines, [signed(lines[:2])], keys(), LAX)
    assert report.notices == ["the last 1 leaves are not signed yet"]


def test_a_checkpoint_of_an_unknown_key_proves_nothing() -> None:
    lines = [birth(1).line(0, "ab")]
    stranger = MemoryKey(b"s" * 32)
    head = Head(1, leaf_hash(lines[0]))
    forged = read_checkpoint(checkpoint(ORIGIN, head, ORIGIN, [stranger]).text)
    assert verify(lines, [forged], keys(), LAX).findings


BROKEN: list[Callable[[bytes], bytes]] = [
    lambda line: line.replace(b'"version":"ab"', b'"version":"ab","user":"alice"'),
    lambda line: line.replace(b":", b": "),
    lambda line: line.replace(b'"create"', b'"party"'),
    lambda line: b"[]",
    lambda line: b"\xff",
    lambda line: line.replace(b'"2027', b'"20x7'),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_leaf_of_another_form_is_found_although_it_is_signed(
    broken: Callable[[bytes], bytes],
) -> None:
    lines = [broken(birth(1).line(0, "ab"))]
    assert verify(lines, [signed(lines)], keys(), LAX).findings
