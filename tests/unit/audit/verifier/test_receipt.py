from pathlib import Path

import pytest

from sipis.audit import Opening, receipt_for
from sipis.audit.leaf import Kind, Leaf
from sipis.audit.merkle import leaf_hash
from sipis.audit.note import Head, checkpoint, receipt, verifier_key
from sipis.audit.verifier.forms import Unproven, read_keys
from sipis.audit.verifier.receipt import commitment_of, verify_receipt
from sipis.audit.verifier.signatures import openssl
from sipis.model import DeletionReason, InstanceId
from sipis.store.leaves import LINE_LENGTH
from sipis.vault.signer import verify_ed25519
from tests.support.tlog import NOW, ORIGIN, House, MemoryKey, birth, death, name

KEYS = read_keys(verifier_key(ORIGIN, MemoryKey().public_key))


async def made(folder: Path) -> str:
    """The receipt of one of twenty deletions."""
    house = House(folder / "house")
    await house.notary.open()
    await house.append(*(birth(i) for i in range(20)), *(death(i) for i in range(20)))
    vouched = await house.notary.vouch(receipt_for(name(7), DeletionReason.DISABLED, NOW))
    await house.store.close()
    return vouched.proof


async def test_l2_openssl_alone_confirms_the_signature(tmp_path: Path) -> None:
    text = await made(tmp_path)
    proven = verify_receipt(text, KEYS, openssl)
    assert (proven.leaf["c"], proven.leaf["reason"]) == (name(7).hex(), "disabled")
    stranger = read_keys(verifier_key(ORIGIN, MemoryKey(b"s" * 32).public_key))
    with pytest.raises(Unproven):
        verify_receipt(text, stranger, openssl)


def test_l2_openssl_refuses_a_wrong_signature() -> None:
    key = MemoryKey()
    assert openssl(key.public_key, key.sign(b"text"), b"text")
    assert not openssl(key.public_key, key.sign(b"text"), b"tent")


async def test_l3_every_changed_byte_of_a_receipt_is_found(tmp_path: Path) -> None:
    data = (await made(tmp_path)).encode()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((Unproven, UnicodeDecodeError)):
            verify_receipt(changed.decode(), KEYS, verify_ed25519)


async def test_l3_a_receipt_cut_off_anywhere_proves_nothing(tmp_path: Path) -> None:
    text = await made(tmp_path)
    for length in range(len(text)):
        with pytest.raises(Unproven):
            verify_receipt(text[:length], KEYS, verify_ed25519)


def test_l6_a_receipt_of_a_million_leaves_has_at_most_two_kibibytes() -> None:
    head = Head(1_000_000, bytes(32))
    keys = [MemoryKey(), MemoryKey(b"n" * 32)]
    signed = checkpoint("o" * 64, head, "o" * 64, keys)
    assert len(receipt(b"x" * LINE_LENGTH, 999_999, [bytes(32)] * 20, signed)) <= 2048


def test_a_leaf_that_tells_of_no_deletion_is_no_receipt() -> None:
    for leaf in (birth(1), Leaf(Kind.CENSUS, NOW, count=0)):
        line = leaf.line(0, "ab")
        signed = checkpoint(ORIGIN, Head(1, leaf_hash(line)), ORIGIN, [MemoryKey()])
        with pytest.raises(Unproven, match="no deletion"):
            verify_receipt(receipt(line, 0, [], signed), KEYS, verify_ed25519)


def test_an_opening_leads_to_its_commitment() -> None:
    opening = Opening(InstanceId("ab" * 16), b"s" * 32)
    assert commitment_of("ab" * 16, (b"s" * 32).hex()) == opening.commitment.hex()
