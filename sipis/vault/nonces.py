"""A nonce that a provider accepted: what is needed to answer the next request without being asked.

Refuses secrets: it holds what both ends have sent in clear, so it may be stored as text.
"""

import json
from typing import Final, NamedTuple

from sipis.errors import VaultError
from sipis.sip.digest import Algorithm, DigestChallenge

_FORM: Final = 1
_ANSWERS: Final = 7
"""Where in a state begins what is ours; before it stands what the challenge said."""
_READER: Final = json.JSONDecoder()
_ALGORITHMS: Final = {algorithm.value: algorithm for algorithm in Algorithm}


class NonceState(NamedTuple):
    """The last challenge answered, and how often (RFC 7616 3.4: nc)."""

    proxy: bool
    realm: str
    nonce: str
    algorithm: Algorithm
    qop: str | None
    opaque: str | None
    userhash: bool
    uses: int
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
            self.uses + 1,
            self.cnonce if self.algorithm.is_session else cnonce,
        )

    def of_same_challenge(self, other: "NonceState") -> bool:
        """Whether both differ at most in how often and with what it was answered."""
        return self[:_ANSWERS] == other[:_ANSWERS]

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
            self.uses,
            self.cnonce,
        )
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "NonceState":
        """Read to_text(); VaultError when it was not written by it."""
        try:
            (form, proxy, realm, nonce, algorithm, qop, opaque, userhash, uses, cnonce), _ = (
                _READER.raw_decode(text)
            )
            if form != _FORM:
                raise VaultError("a nonce state of an unknown form")
            return cls(
                bool(proxy),
                realm,
                nonce,
                _ALGORITHMS[algorithm],
                qop,
                opaque,
                bool(userhash),
                int(uses),
                cnonce,
            )
        except (ValueError, TypeError, KeyError):
            raise VaultError("not a nonce state") from None
