"""Signed tokens in JWS compact form (RFC 7515 3.1, RFC 7519).

Refuses keys: the vault's Signer signs.
"""

import base64
import json
from collections.abc import Mapping

from sipis.push.provider import Signer

Claims = Mapping[str, str | int]


def signed(algorithm: str, claims: Claims, signer: Signer) -> str:
    """Return `header.claims.signature` for ES256 or RS256, with the signer's key id."""
    header = {"alg": algorithm, "kid": signer.key_id, "typ": "JWT"}
    message = f"{_part(header)}.{_part(claims)}"
    return f"{message}.{_base64url(signer.sign(message.encode()))}"


def _part(values: Claims) -> str:
    return _base64url(json.dumps(values, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
