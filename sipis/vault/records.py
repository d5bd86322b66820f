"""The two records of an instance as bytes: its credential and its push targets.

Compact JSON, because both are read by few lines, checked by few eyes and small either way.
Refuses to show itself: no record has a repr that tells anything.
"""

import binascii
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
_READER: Final = json.JSONDecoder()

PackedHa1 = Sequence[str]
"""Realm, algorithm and digest (base64) of an HA1, as they are kept."""


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """An account with what proves it, and the login of its app at the relay.

    HA1s stay packed until they are asked for: a refresh needs one of them.
    """

    account: Account = field(repr=False)
    password: Secret | None
    packed_ha1s: Sequence[PackedHa1] = field(repr=False)
    """Those of the account, where its password is not known."""
    relay_user: str = field(repr=False)
    packed_relay: Sequence[PackedHa1] = field(repr=False)

    @property
    def credential(self) -> Credential:
        """What proves the account."""
        if self.password is not None:
            return PasswordCredential(self.password)
        return Ha1Credential(_unpack_ha1s(self.packed_ha1s))

    @property
    def relay_ha1s(self) -> tuple[Ha1, ...]:
        """The app's own login."""
        return _unpack_ha1s(self.packed_relay)

    @property
    def realms(self) -> frozenset[str]:
        """Whose HA1s are known."""
        return frozenset(realm for realm, _, _ in self.packed_ha1s)

    def ha1(self, realm: str, algorithm: Algorithm) -> Secret | None:
        """The account's HA1 for a realm and one of HA1_ALGORITHMS."""
        for known, name, digest in self.packed_ha1s:
            if known == realm and name == algorithm:
                return _unpack_digest(digest)
        return None


@dataclass(frozen=True, slots=True)
class Targets:
    """The push addresses of an installation, and its public key for sealed payloads."""

    targets: tuple[PushTarget, ...] = field(repr=False)
    push_key: bytes | None = field(default=None, repr=False)


def new_record(account: Account, credential: Credential, relay: RelayLogin) -> CredentialRecord:
    """Join the parts; of the relay password only its HA1s remain."""
    password = relay.password.reveal()
    ha1s = digests(relay.username, relay.realm, password)
    return _record(account, credential, relay.username, _pack_ha1s(ha1s))


def changed(
    record: CredentialRecord, account: Account | None, credential: Credential | None
) -> CredentialRecord:
    """The record with what is given in the place of what it had."""
    return _record(
        account or record.account,
        credential or record.credential,
        record.relay_user,
        record.packed_relay,
    )


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
    if record.password is None:
        values["ha1"] = record.packed_ha1s
    else:
        values["password"] = record.password.reveal()
    return _encode(values, "account")


def decode_credential(data: bytes) -> CredentialRecord:
    """Read encode_credential(); SealBroken when it was not written by it."""
    try:
        values, _ = _READER.raw_decode(data.decode())
        account, (relay_user, *packed_relay) = Account(**values["account"]), values["relay"]
        if "ha1" in values:
            return CredentialRecord(account, None, values["ha1"], relay_user, packed_relay)
        password = Secret(values["password"])
        return CredentialRecord(account, password, (), relay_user, packed_relay)
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


def _record(
    account: Account, credential: Credential, relay_user: str, packed_relay: Sequence[PackedHa1]
) -> CredentialRecord:
    if isinstance(credential, PasswordCredential):
        return CredentialRecord(account, credential.password, (), relay_user, packed_relay)
    packed = _pack_ha1s(credential.ha1s)
    return CredentialRecord(account, None, packed, relay_user, packed_relay)


def _unpack_ha1s(packed: Sequence[PackedHa1]) -> tuple[Ha1, ...]:
    return tuple(
        Ha1(realm, _BY_NAME[algorithm], _unpack_digest(digest))
        for realm, algorithm, digest in packed
    )


def _unpack_digest(packed: str) -> Secret:
    return Secret(_unpack_bytes(packed).hex())


def _unpack_target(provider: str, kind: str, token: str, environment: str | None) -> PushTarget:
    return PushTarget(
        PushService(provider),
        TargetKind(kind),
        token,
        None if environment is None else Environment(environment),
    )


def _pack_bytes(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode().rstrip("=")


def _unpack_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text + "==")  # more padding than is owed is passed over
