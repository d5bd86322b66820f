"""Bearer secrets and verification codes: random text whose hash alone is stored.

Refuses a salt or a slow hash: 128 random bits and more cannot be guessed, so SHA-256 hides them.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

SECRET_BYTES: Final = 32
CODE_BYTES: Final = 16
NOBODY: Final = bytes(32)
"""A hash that no secret has; compared with when an instance is unknown, so that time tells
nothing."""


def new_secret(entropy: Callable[[int], bytes]) -> str:
    """A bearer secret: 256 random bits in hex."""
    return entropy(SECRET_BYTES).hex()


def new_code(entropy: Callable[[int], bytes]) -> str:
    """A verification code: 128 random bits in hex, typed by no one."""
    return entropy(CODE_BYTES).hex()


def hash_of(secret: str) -> bytes:
    """What is stored of a secret or code."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def matches(secret: str, stored: bytes) -> bool:
    """Whether the secret is the one whose hash is stored; in constant time."""
    return hmac.compare_digest(hash_of(secret), stored)


def idempotency_hash(app: str, key: str) -> bytes:
    """What is stored of an app's Idempotency-Key."""
    return hash_of(f"{len(app)}:{app}:{key}")
