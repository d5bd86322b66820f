"""Keys of an operator at the world's Apple and Google: made on the spot, worth nothing outside.

Refuses to stand in for the vault: it hands out the files that an operator would have downloaded.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class AppleKey:
    """A token-signing key: what the .p8 file from Apple's developer site is."""

    team_id: str = "WORLDTEAM1"
    key_id: str = "WORLDKEY01"
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def p8(self) -> bytes:
        """The content of the .p8 file."""
        return _private_pem(self.private)

    @property
    def public_pem(self) -> bytes:
        """What Apple keeps of it."""
        return _public_pem(self.private)

    def write(self, directory: Path) -> Path:
        """Write the .p8 file, readable by its owner alone."""
        return _write(directory / f"AuthKey_{self.key_id}.p8", self.p8)


@dataclass(frozen=True, slots=True)
class GoogleKey:
    """A service account: what the JSON file from the Firebase console is."""

    token_uri: str
    project_id: str = "world-project"
    client_email: str = "push@world-project.iam.gserviceaccount.com"
    key_id: str = "world-key"
    private: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        repr=False,
    )

    @property
    def public_pem(self) -> bytes:
        """What Google keeps of it."""
        return _public_pem(self.private)

    @property
    def json(self) -> bytes:
        """The content of the service account file."""
        values = {
            "type": "service_account",
            "project_id": self.project_id,
            "private_key_id": self.key_id,
            "private_key": _private_pem(self.private).decode(),
            "client_email": self.client_email,
            "token_uri": self.token_uri,
        }
        return json.dumps(values, indent=1).encode()

    def write(self, directory: Path) -> Path:
        """Write the service account file, readable by its owner alone."""
        return _write(directory / f"{self.project_id}.json", self.json)


def _private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
