"""The two records of an instance as bytes: its credential and its push targets.

Compact JSON, because both are read by few lines, checked by few eyes and small either way.
Refuses to show itself: no record has a repr that tells anything.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from sipis.errors import FieldError, SealBroken
from sipis.model import Account, Environment, PushService, PushTarget, TargetKind
from sipis.secret import Secret
from sipis.sip.digest import Algorithm, ha1
from sipis.vault.credentials import Credential, Ha1, Ha1Credential, PasswordCredential, RelayLogin

HA1_ALGORITHMS: Final = (Algorithm.MD5, Algorithm.SHA256, Algorithm.SHA512_256)
"""What an HA1 is made for; the -sess variants are derived from these (RFC 7616 3.4.2)."""


_BY_NAME: Final = {algorithm.value: algorithm for algorithm in Algorithm}


PackedHa1 = Sequence[str]
"""Realm, algorithm and digest (base64) of an HA1, as they are kept."""


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """An account with what proves it, and the login of its app at the relay."""

    account: Account = field(repr=False)
    credential: Credential = field(repr=False)
    relay_user: str = field(repr=False)
    packed_relay: Sequence[PackedHa1] = field(repr=False)

    @property
    def relay_ha1s(self) -> tuple[Ha1, ...]:
        """The app's own login; unpacked when asked for, since a refresh has no use for it."""
        try:
            return _unpack_ha1s(self.packed_relay)
        except (ValueError, TypeError, KeyError):
            raise SealBroken("not a credential record") from None


@dataclass(frozen=True, slots=True)
class Targets:
    """The push addresses of an installation, and its public key for sealed payloads."""

    targets: tuple[PushTarget, ...] = field(repr=False)
    push_key: bytes | None = field(default=None, repr=False)


def new_record(account: Account, credential: Credential, relay: RelayLogin) -> CredentialRecord:
    """Join the parts; of the relay password only its HA1s remain."""
    password = relay.password.reveal()
    ha1s = digests(relay.username, relay.realm, password)
    return CredentialRecord(account, credential, relay.username, _pack_ha1s(ha1s))


def digests(user: str, realm: str, password: str) -> tuple[Ha1, ...]:
    """The HA1 of every algorithm for one realm."""
    return tuple(
        Ha1(realm, algorithm, Secret(ha1(algorithm, user, realm, password)))
        for algorithm in HA1_ALGORITHMS
    )


def encode_credential(record: CredentialRecord) -> bytes:
    """The record as bytes; FieldError when a text of it cannot be encoded."""
    values: dict[str, object] = {
        "account": {name: value for name, value in asdict(record.account).items() if value},
        "relay": [record.relay_user, *record.packed_relay],
    }
    match record.credential:
        case PasswordCredential(password):
            values["password"] = password.reveal()
        case Ha1Credential(ha1s):
            values["ha1"] = _pack_ha1s(ha1s)
    return _encode(values, "account")


def decode_credential(data: bytes) -> CredentialRecord:
    """Read encode_credential(); SealBroken when it was not written by it."""
    try:
        values = json.loads(data)
        relay_user, *packed_relay = values["relay"]
        account = Account(**values["account"])
        return CredentialRecord(account, _unpack_credential(values), relay_user, packed_relay)
    except (ValueError, TypeError, KeyError):
        raise SealBroken("not a credential record") from None


def encode_targets(record: Targets) -> bytes:
    """The record as bytes; FieldError when a text of it cannot be encoded."""
    values: dict[str, object] = {
        "targets": [
            [target.provider, target.kind, target.token, target.environment]
            for target in record.targets
        ]
    }
    if record.push_key is not None:
        values["key"] = _pack_bytes(record.push_key)
    return _encode(values, "targets")


def decode_targets(data: bytes) -> Targets:
    """Read encode_targets(); SealBroken when it was not written by it."""
    try:
        values = json.loads(data)
        key = values.get("key")
        return Targets(
            tuple(_unpack_target(*target) for target in values["targets"]),
            None if key is None else _unpack_bytes(key),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SealBroken("not a targets record") from None


def _encode(values: dict[str, object], field_name: str) -> bytes:
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FieldError(field_name, "holds half a character") from None


def _pack_ha1s(ha1s: Sequence[Ha1]) -> list[PackedHa1]:
    return [
        [ha1.realm, ha1.algorithm.value, _pack_bytes(bytes.fromhex(ha1.digest.reveal()))]
        for ha1 in ha1s
    ]


def _unpack_ha1s(packed: Sequence[PackedHa1]) -> tuple[Ha1, ...]:
    return tuple(
        [
            Ha1(realm, _BY_NAME[algorithm], Secret(_unpack_bytes(digest).hex()))
            for realm, algorithm, digest in packed
        ]
    )


def _unpack_credential(values: dict[str, object]) -> Credential:
    password, ha1s = values.get("password"), values.get("ha1")
    if isinstance(password, str):
        return PasswordCredential(Secret(password))
    if isinstance(ha1s, list):
        return Ha1Credential(_unpack_ha1s(ha1s))
    raise ValueError("neither password nor HA1")


def _unpack_target(provider: str, kind: str, token: str, environment: str | None) -> PushTarget:
    return PushTarget(
        PushService(provider),
        TargetKind(kind),
        token,
        None if environment is None else Environment(environment),
    )


def _pack_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _unpack_bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
