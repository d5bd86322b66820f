"""The `sipis` object of a push, version 1, and its sealing to the app's key.

Refuses to put a caller or a text in clear unless `preview` is set, to let a payload outgrow the
limit of its service, and to carry any text of a SIP peer but these two.

Sealed box: HPKE base mode (RFC 9180), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305;
info = "sipis-push-v1|<instance>|<event>"; the plain text is a JSON object padded with blanks to a
multiple of 256 bytes, since the length of a name says something about it; base64 of enc ||
ciphertext. Base mode does not tell who sealed it: the app trusts the call only once the INVITE has
come.
"""

import base64
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sipis.errors import FieldError
from sipis.model import PushEvent, PushTarget, TargetKind
from sipis.push.text import cut

VERSION: Final = 1
VOIP_LIMIT: Final = 5120
OTHER_LIMIT: Final = 4096
WRAPPER: Final = 320
"""Bytes that the service's own keys around the object may take."""
BUCKET: Final = 256
LONGEST_NAME: Final = 256
_SEAL_OVERHEAD: Final = 32 + 16
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_CALL_NAMES: Final = uuid.UUID("6d2b1d0e-3c55-5a0c-9a52-0b7f3f6c51a4")

Payload = dict[str, object]


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to tell; times are Unix seconds."""

    event: PushEvent
    instance: str
    node: str
    sent_at: float
    deadline: float
    call: str | None = None
    code: str | None = None
    """The code of a `verify` push."""
    message: str | None = None
    """Id of a stored message."""
    sender: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)


def compose(
    facts: Facts, *, push_key: bytes | None = None, preview: bool = False, limit: int = OTHER_LIMIT
) -> Payload:
    """Return the object: ids, and name and text sealed (with a key), clear (preview) or left out.

    Raises FieldError when `push_key` is no X25519 public key.
    """
    payload = _ids(facts)
    room = limit - WRAPPER - _size(payload)
    if push_key is not None:
        return _with_sealed(payload, facts, push_key, room)
    return payload | _words(facts, room) if preview else payload


def limit_for(targets: Iterable[PushTarget]) -> int:
    """Return how large a payload may be that all these targets can take."""
    kinds = {target.kind for target in targets}
    return VOIP_LIMIT if kinds == {TargetKind.VOIP} else OTHER_LIMIT


def minimal(payload: Mapping[str, object]) -> Payload:
    """Return the object without all that makes it large."""
    return {key: value for key, value in payload.items() if key not in {"from", "text", "sealed"}}


def call_uuid(instance: str, call_id: str, from_tag: str) -> str:
    """Return the UUID of a call: the same for every repetition of its INVITE."""
    return str(uuid.uuid5(_CALL_NAMES, "\0".join((instance, call_id, from_tag))))


def check_push_key(raw: bytes) -> None:
    """Raise FieldError unless something can be sealed to that X25519 public key."""
    _seal(b"", raw, b"")


def encoded(payload: Mapping[str, object]) -> bytes:
    """Return the object as compact JSON."""
    return _ENCODER.encode(payload).encode("utf-8", "replace")


def _ids(facts: Facts) -> Payload:
    ids: Payload = {
        "v": VERSION,
        "event": facts.event.value,
        "instance": facts.instance,
        "node": facts.node,
        "sent_at": int(facts.sent_at),
        "deadline": int(facts.deadline),
    }
    optional = {"call": facts.call, "code": facts.code, "message": facts.message}
    return ids | {key: value for key, value in optional.items() if value is not None}


def _words(facts: Facts, room: int) -> Payload:
    """Return `from` and `text`, cut so that both fit into the room."""
    words: Payload = {}
    for key, text, most in (("from", facts.sender, LONGEST_NAME), ("text", facts.text, room)):
        left = min(most, room - _size(words) - len(f',"{key}":""'))
        if text and left > 0:
            words[key] = cut(text, left)
    return words


def _with_sealed(payload: Payload, facts: Facts, push_key: bytes, room: int) -> Payload:
    plain_room = _plain_room(room - len(',"sealed":""'))
    inner: Payload = {key: payload[key] for key in ("call", "deadline") if key in payload}
    inner |= _words(facts, plain_room - _size(inner))
    if plain_room < BUCKET or not inner.keys() & {"from", "text"}:
        return payload
    info = f"sipis-push-v1|{facts.instance}|{facts.event.value}".encode()
    sealed = _seal(_padded(encoded(inner)), push_key, info)
    return payload | {"sealed": base64.b64encode(sealed).decode()}


def _plain_room(base64_room: int) -> int:
    """Return the largest whole number of buckets whose sealed base64 form fits."""
    return (base64_room // 4 * 3 - _SEAL_OVERHEAD) // BUCKET * BUCKET


def _padded(plain: bytes) -> bytes:
    return plain + b" " * (-len(plain) % BUCKET)


def _seal(plain: bytes, push_key: bytes, info: bytes) -> bytes:
    try:
        return _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(push_key), info)
    except ValueError:
        raise FieldError("push_key", "is no X25519 public key of 32 bytes") from None


def _size(payload: Payload) -> int:
    return len(encoded(payload))
