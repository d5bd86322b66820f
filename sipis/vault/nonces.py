"""A nonce that a provider accepted: what is needed to answer the next request without being asked.

Refuses secrets: it holds what both ends have sent in clear, so it may be stored as text.
"""

import json
from dataclasses import dataclass
from typing import Final

from sipis.errors import VaultError
from sipis.sip.digest import Algorithm, DigestChallenge

_FORM: Final = 1


@dataclass(frozen=True, slots=True)
class NonceState:
    """The last challenge answered, and how often (RFC 7616 3.4: nc)."""

    proxy: bool
    realm: str
    nonce: str
    algorithm: Algorithm
    qop: str | None
    opaque: str | None
    userhash: bool
    count: int
    """The nonce count last sent."""
    cnonce: str
    """The client nonce last sent; the session key of -sess algorithms is made from the first."""

    @classmethod
    def of(cls, challenge: DigestChallenge, cnonce: str) -> "NonceState":
        """The state before the first answer."""
        return cls(
            challenge.proxy,
            challenge.realm,
            challenge.nonce,
            challenge.algorithm,
            challenge.preferred_qop,
            challenge.opaque,
            challenge.userhash,
            0,
            cnonce,
        )

    def next(self, cnonce: str) -> "NonceState":
        """The state of one more answer; a -sess algorithm keeps its first client nonce."""
        return NonceState(
            self.proxy,
            self.realm,
            self.nonce,
            self.algorithm,
            self.qop,
            self.opaque,
            self.userhash,
            self.count + 1,
            self.cnonce if self.algorithm.is_session else cnonce,
        )

    def to_text(self) -> str:
        """The state as one line for the store."""
        values = (
            _FORM,
            int(self.proxy),
            self.realm,
            self.nonce,
            self.algorithm.value,
            self.qop,
            self.opaque,
            int(self.userhash),
            self.count,
            self.cnonce,
        )
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "NonceState":
        """Read to_text(); VaultError when it was not written by it."""
        try:
            form, proxy, realm, nonce, algorithm, qop, opaque, userhash, count, cnonce = json.loads(
                text
            )
            if form != _FORM:
                raise VaultError("a nonce state of an unknown form")
            return cls(
                bool(proxy),
                realm,
                nonce,
                Algorithm(algorithm),
                qop,
                opaque,
                bool(userhash),
                int(count),
                cnonce,
            )
        except (ValueError, TypeError):
            raise VaultError("not a nonce state") from None
