"""Private keys of push services and of the log: who needs a signature gets a Signer, never the key.

Refuses to lose a working key: a file that was changed into something unreadable is reported, and
the key read before stays in use until the file is right again.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sipis.errors import ConfigError
from sipis.vault.files import create_file

_COORDINATE = 32

_log = structlog.get_logger("vault")

Key = TypeVar("Key")


class Signer(Protocol):
    """Signs with a key that it does not show."""

    @property
    def key_id(self) -> str:
        """The name of the key at the service that checks it."""

    def sign(self, message: bytes) -> bytes:
        """The signature as JOSE wants it (RFC 7518 3.3, 3.4)."""


class _KeyFile(ABC, Generic[Key]):
    """A key read from a file, and read again when the file was changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _stamp(path)
        self._current = self._read()

    @abstractmethod
    def _parse(self, content: bytes) -> Key:
        """The key in a file's content; ValueError when there is none."""

    def _key(self) -> Key:
        seen = _stamp(self._path)
        if seen != self._seen:
            self._seen = seen
            self._reload()
        return self._current

    def _reload(self) -> None:
        try:
            self._current = self._read()
        except ConfigError:
            _log.error("key_file_unreadable", path=os.fspath(self._path), action="key before kept")

    def _read(self) -> Key:
        try:
            return self._parse(self._path.read_bytes())
        except OSError as missing:
            raise ConfigError(str(self._path), missing.strerror or "cannot be read") from None
        except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            raise ConfigError(str(self._path), "holds no usable private key") from None


class ApnsSigner(_KeyFile[ec.EllipticCurvePrivateKey]):
    """ES256 with the .p8 file from Apple; the signature is r and s, 32 bytes each."""

    def __init__(self, path: Path, key_id: str) -> None:
        self._key_id = key_id
        super().__init__(path)

    @property
    def key_id(self) -> str:
        """The ten characters that Apple names the key by."""
        return self._key_id

    def sign(self, message: bytes) -> bytes:
        """The 64-byte ECDSA signature over SHA-256."""
        r, s = decode_dss_signature(self._key().sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")

    def _parse(self, content: bytes) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(content, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("not a P-256 key")
        return key


class LogSigner(_KeyFile[ed25519.Ed25519PrivateKey]):
    """Ed25519 (RFC 8032) with the key of the transparency log, a PEM file."""

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key().public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature."""
        return self._key().sign(message)

    def _key(self) -> ed25519.Ed25519PrivateKey:
        """The key read at the start: another one must be announced in the log first."""
        return self._current

    def _parse(self, content: bytes) -> ed25519.Ed25519PrivateKey:
        key = serialization.load_pem_private_key(content, password=None)
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise TypeError("not an Ed25519 key")
        return key


def create_log_key(path: Path, entropy: Callable[[int], bytes]) -> None:
    """Write a new key of the log, readable by its owner alone; one that exists stays."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(entropy(32))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with suppress(FileExistsError):
        create_file(path, pem, mode=0o400)


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is right; False also for what is no key."""
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class _ServiceAccount:
    """What is used of a service account file."""

    __slots__ = ("client_email", "key", "key_id", "project_id", "token_uri")

    def __init__(self, content: bytes) -> None:
        values = json.loads(content)
        key = serialization.load_pem_private_key(values["private_key"].encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("not an RSA key")
        self.key = key
        self.key_id = str(values["private_key_id"])
        self.client_email = str(values["client_email"])
        self.project_id = str(values["project_id"])
        self.token_uri = str(values["token_uri"])


class ServiceAccountSigner(_KeyFile[_ServiceAccount]):
    """RS256 with the service account file from Google."""

    @property
    def key_id(self) -> str:
        """The `private_key_id` of the file."""
        return self._key().key_id

    @property
    def client_email(self) -> str:
        """Who signs."""
        return self._key().client_email

    @property
    def project_id(self) -> str:
        """The project that pushes are sent for."""
        return self._key().project_id

    @property
    def token_uri(self) -> str:
        """Where a signed assertion is changed for an access token."""
        return self._key().token_uri

    def sign(self, message: bytes) -> bytes:
        """The RSA signature (PKCS #1 v1.5) over SHA-256."""
        return self._key().key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def _parse(self, content: bytes) -> _ServiceAccount:
        return _ServiceAccount(content)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or written; None while it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
