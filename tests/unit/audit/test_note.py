"""Notes against a published signature, and the forms of C2SP."""

from base64 import b64decode

from sipis.audit.note import (
    Head,
    checkpoint,
    key_id,
    read_own,
    receipt,
    verifier_key,
)
from sipis.audit.verifier.forms import read_checkpoint, read_keys
from sipis.vault.signer import verify_ed25519
from tests.support.tlog import ORIGIN, MemoryKey

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


def test_l6_key_and_signature_match_the_published_note() -> None:
    key = MemoryKey(SEED)
    assert verifier_key("PeterNeumann", key.public_key) == PETER
    made = key_id("PeterNeumann", key.public_key) + key.sign(TEXT.encode())
    assert made == b64decode(SIGNATURE)
    (read,) = read_keys(PETER)
    assert verify_ed25519(read.public, b64decode(SIGNATURE)[4:], TEXT.encode())


def test_l6_a_checkpoint_is_origin_size_root_and_a_line_per_signature() -> None:
    signed = checkpoint(ORIGIN, Head(7, bytes(32)), ORIGIN, [MemoryKey(), MemoryKey(b"k" * 32)])
    body, _, tail = signed.text.partition("\n\n")
    assert body.split("\n") == [ORIGIN, "7", "A" * 43 + "="]
    assert [line.split(" ")[:2] for line in tail.splitlines()] == [["\u2014", ORIGIN]] * 2
    assert signed.text.endswith("\n")


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    signed = checkpoint(ORIGIN, Head(7, bytes(range(32))), ORIGIN, [MemoryKey()])
    read = read_checkpoint(signed.text)
    assert (read.origin, read.size, read.root) == (ORIGIN, 7, bytes(range(32)))
    assert read_own(signed.text) == (ORIGIN, signed)


def test_l6_a_receipt_is_header_leaf_index_path_and_checkpoint() -> None:
    signed = checkpoint(ORIGIN, Head(3, bytes(32)), ORIGIN, [MemoryKey()])
    text = receipt(b"leaf", 1, [bytes(32), bytes(32)], signed)
    head, _, rest = text.partition("\n\n")
    steps = ["A" * 43 + "="] * 2
    assert head.split("\n") == ["c2sp.org/tlog-proof@v1", "extra bGVhZg==", "index 1", *steps]
    assert rest == signed.text
