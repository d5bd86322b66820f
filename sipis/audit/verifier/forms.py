"""The forms of what is checked: keys, checkpoints, leaves. Refuses every form but the one."""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

ED25519 = 1

ORDER = (
    "seq", "type", "minute", "c", "reason", "deadline", "lateness", "epoch_before", "epoch_after",
    "count", "notice", "version",
)  # fmt: skip
ALLOWED = {
    "create": {"c", "deadline"},
    "refresh": {"c", "deadline"},
    "destroyed": {"c", "reason", "deadline", "lateness", "epoch_before"},
    "epoch_rolled": {"epoch_before", "epoch_after"},
    "census": {"count"},
    "canary_ok": {"c"},
    "canary_fail": {"c", "count"},
    "restore": {"c", "count"},
    "config": {"notice"},
    "keyloss": {"count"},
    "log_key": {"c"},
}
WORDS = {
    "type": "[a-z_]+",
    "c": "[0-9a-f]{64}",
    "reason": "[a-z_]+",
    "notice": "[a-z][a-z0-9_]*",
    "version": "[0-9a-f]*",
}
Leaf = dict[str, Any]


class Unproven(Exception):
    """What was to be proven is not; the text says why."""


@dataclass(frozen=True)
class Key:
    """A public key of a log."""

    name: str
    id: bytes
    public: bytes


@dataclass(frozen=True)
class Checkpoint:
    """A signed state of a log."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, bytes], ...]


def read_keys(text: str) -> list[Key]:
    """Verifier keys, name+id+key, one a line; Unproven for a key whose id does not fit."""
    keys = []
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition("+")
        id_, _, encoded = rest.partition("+")
        data = base64_of(encoded)
        if len(data) != 33 or data[0] != ED25519:
            raise Unproven("a key is no Ed25519 verifier key")
        expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
        if expected.hex() != id_:
            raise Unproven("the id of a key does not fit the key")
        keys.append(Key(name, expected, data[1:]))
    return keys


def read_checkpoint(note: str) -> Checkpoint:
    """A checkpoint in its signed note."""
    body, separator, tail = note.rpartition("\n\n")
    lines = body.split("\n")
    if not separator or len(lines) != 3 or not tail.endswith("\n"):
        raise Unproven("not a checkpoint")
    size, root = decimal(lines[1]), hash_of(lines[2])
    signatures = tuple(_signature(line) for line in tail[:-1].split("\n"))
    return Checkpoint(lines[0], size, root, f"{body}\n".encode(), signatures)


def read_checkpoints(text: str) -> list[Checkpoint]:
    """Checkpoints with an empty line after each."""
    parts = text.split("\n\n")
    if parts.pop().strip() or len(parts) % 2:
        raise Unproven("the checkpoints are cut off")
    pairs = zip(parts[0::2], parts[1::2], strict=True)
    return [read_checkpoint(f"{body}\n\n{tail}\n") for body, tail in pairs]


def _signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "\u2014" or not name:
        raise Unproven("not a signature line")
    return name, base64_of(encoded)


def decimal(text: str) -> int:
    """A number without leading zeros; Unproven for anything else."""
    if not (text.isascii() and text.isdecimal() and str(int(text)) == text):
        raise Unproven("not a number")
    return int(text)


def hash_of(text: str) -> bytes:
    """A SHA-256 hash in base64; Unproven for anything else."""
    data = base64_of(text)
    if len(data) != 32:
        raise Unproven("not a hash")
    return data


def base64_of(text: str) -> bytes:
    """Bytes in base64, in the one form that they have; Unproven for anything else."""
    try:
        data = b64decode(text, validate=True)
    except (BinasciiError, ValueError):
        raise Unproven("not base64") from None
    if b64encode(data).decode() != text:
        raise Unproven("not canonical base64")
    return data


def read_leaf(line: bytes, seq: int) -> Leaf:
    """A leaf in its one form; Unproven for any other form, field or number."""
    try:
        leaf: Leaf = json.loads(line)
        kind = leaf["type"]
        known = {"seq", "type", "minute", "version"} | ALLOWED[kind]
    except (ValueError, KeyError, TypeError):
        raise Unproven(f"leaf {seq}: not a leaf") from None
    told = {name: leaf[name] for name in ORDER if name in leaf}
    if set(leaf) - known or json.dumps(told, separators=(",", ":")).encode() != line:
        raise Unproven(f"leaf {seq}: not in canonical form")
    if wrong := [name for name, value in told.items() if not _has_form(name, value)]:
        raise Unproven(f"leaf {seq}: {wrong[0]} has no meaning")
    if leaf["seq"] != seq:
        raise Unproven(f"leaf {seq}: its number is wrong")
    return leaf


def _has_form(name: str, value: object) -> bool:
    if name in WORDS:
        return isinstance(value, str) and re.fullmatch(WORDS[name], value) is not None
    if name in {"minute", "deadline"}:
        return isinstance(value, str) and _is_minute(value)
    return type(value) is int and value >= 0


def _is_minute(text: str) -> bool:
    try:
        return bool(seconds(text))
    except Unproven:
        return False


def seconds(minute: str) -> int:
    """A minute as Unix seconds."""
    try:
        parsed = datetime.strptime(minute, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except (ValueError, TypeError):
        raise Unproven("not a minute") from None
    return int(parsed.timestamp())
