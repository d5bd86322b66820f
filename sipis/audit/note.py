"""Signed checkpoints and receipts as text: C2SP signed-note, tlog-checkpoint and tlog-proof.

    checkpoint = origin, size, root in base64, one a line; an empty line; a line per signature
    receipt    = header, the leaf as `extra`, its index, its audit path, an empty line, a checkpoint

Refuses to sign: who holds the key hands in signatures.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
ED25519: Final = b"\x01"
_DASH: Final = "\u2014"


class NoteSigner(Protocol):
    """Signs with an Ed25519 key that it does not show."""

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes (RFC 8032)."""

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""


@dataclass(frozen=True, slots=True)
class Head:
    """A state of the log: so many leaves with this root."""

    size: int
    root: bytes

    def text(self, origin: str) -> str:
        """What is signed."""
        return f"{origin}\n{self.size}\n{_encoded(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed head."""

    head: Head
    text: str
    """The whole note, ending in a newline."""


def key_id(name: str, public_key: bytes) -> bytes:
    """The four bytes by which a note names a key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """The public key in the form that C2SP tools take: name+id+key."""
    return f"{name}+{key_id(name, public_key).hex()}+{_encoded(ED25519 + public_key)}"


def checkpoint(origin: str, head: Head, name: str, signers: Sequence[NoteSigner]) -> Checkpoint:
    """Have a head signed by all signers under the key name, first the one in force."""
    text = head.text(origin)
    lines = [_signature(name, text, signer) for signer in signers]
    return Checkpoint(head, f"{text}\n{''.join(lines)}")


def read_own(text: str) -> tuple[str, Checkpoint]:
    """Origin and head of a checkpoint that we wrote, unverified; ValueError when it is none."""
    lines = text.split("\n")
    if len(lines) < 5:
        raise ValueError("not a checkpoint")
    return lines[0], Checkpoint(Head(int(lines[1]), b64decode(lines[2], validate=True)), text)


def receipt(line: bytes, index: int, path: Sequence[bytes], signed: Checkpoint) -> str:
    """The proof that a leaf is in the log, with the leaf itself as its extra data."""
    steps = "".join(f"{_encoded(step)}\n" for step in path)
    return f"{PROOF_HEADER}\nextra {_encoded(line)}\nindex {index}\n{steps}\n{signed.text}"


def _signature(name: str, text: str, signer: NoteSigner) -> str:
    signed = key_id(name, signer.public_key) + signer.sign(text.encode())
    return f"{_DASH} {name} {_encoded(signed)}\n"


def _encoded(data: bytes) -> str:
    return b64encode(data).decode()
