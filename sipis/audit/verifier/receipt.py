"""One receipt: is this deletion in the log that was signed? Refuses receipts of anything else."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .forms import (
    Checkpoint,
    Key,
    Leaf,
    Unproven,
    base64_of,
    decimal,
    hash_of,
    read_checkpoint,
    read_leaf,
)
from .signatures import Check, check_signatures, openssl
from .tree import leaf_hash, root_by_path

PROOF_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Proven:
    """A leaf that is in the log, and the checkpoint that says so."""

    leaf: Leaf
    checkpoint: Checkpoint


def verify_receipt(text: str, keys: Sequence[Key], check: Check = openssl) -> Proven:
    """The leaf that a receipt proves; Unproven says what is wrong with it."""
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != PROOF_HEADER or len(lines) < 3:
        raise Unproven("not a receipt")
    line = base64_of(_after(lines[1], "extra "))
    index = decimal(_after(lines[2], "index "))
    checkpoint = read_checkpoint(note)
    path = [hash_of(step) for step in lines[3:]]
    if root_by_path(leaf_hash(line), index, checkpoint.size, path) != checkpoint.root:
        raise Unproven("the leaf is not in the log of this checkpoint")
    check_signatures(checkpoint, keys, check)
    leaf = read_leaf(line, index)
    if leaf["type"] != "destroyed":
        raise Unproven("the leaf tells of no deletion")
    return Proven(leaf, checkpoint)


def as_given_out(text: str) -> str:
    """A receipt as it was before people and programs changed its line ends and added blanks."""
    return text.replace("\r\n", "\n").strip() + "\n"


def commitment_of(instance: str, salt: str) -> str:
    """The commitment that an opening, as an app was given it, leads to."""
    data = b"instance" + bytes.fromhex(salt) + instance.encode()
    return hashlib.sha256(data).hexdigest()


def _after(line: str, word: str) -> str:
    if not line.startswith(word):
        raise Unproven("not a receipt")
    return line.removeprefix(word)
