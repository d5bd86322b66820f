"""An opened account: it answers Digest challenges for its user and checks its app at the relay.

Refuses to tell how: what it gives is a finished header value, a reason why not, or a verdict.
Refuses a realm that its HA1s are not for, and a challenge weaker than one that was answered before
in the same realm (RFC 7616 5.6, RFC 8760 2.3): whoever sends it wants to guess the password.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sipis.model import Account
from sipis.sip import digest
from sipis.sip.digest import Algorithm, DigestChallenge
from sipis.sip.headers import Credentials
from sipis.sip.uri import user_of
from sipis.vault.nonces import NonceState
from sipis.vault.records import CredentialRecord

MOST_ANSWERS: Final = 0xFFFFFFFF
"""The nonce count is eight hex digits on the wire."""


class Refusal(StrEnum):
    """Why a challenge is not answered."""

    UNSUPPORTED = "unsupported"
    """No Digest challenge that we know how to answer."""
    UNKNOWN_REALM = "unknown_realm"
    """Only HA1s are known, and none is for this realm."""
    UNKNOWN_ALGORITHM = "unknown_algorithm"
    """An HA1 is known for the realm, but for no algorithm that was offered."""
    DOWNGRADE = "downgrade"
    """Weaker than what this provider asked before."""
    NONCE_SPENT = "nonce_spent"
    """The nonce was counted to its end, or its realm is no longer ours."""


@dataclass(frozen=True, slots=True)
class Authorized:
    """A finished answer to a challenge."""

    header_name: str
    value: str = field(repr=False)
    nonce: NonceState = field(repr=False)
    password_based: bool
    """Whether the password itself was used: it may be retired after a success."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No answer will be given."""

    why: Refusal


class OpenedAccount:
    """One credential record, opened for one piece of work."""

    __slots__ = ("_record", "_user", "account")

    def __init__(self, record: CredentialRecord) -> None:
        self._record = record
        self._user = digest_user(record.account)
        self.account = record.account
        """The account without what proves it."""

    @property
    def relay_user(self) -> str:
        """The user name of the app at the relay."""
        return self._record.relay_user

    @property
    def password_based(self) -> bool:
        """Whether the password itself is still held."""
        return self._record.password is not None

    def authorize(
        self,
        challenges: Sequence[DigestChallenge],
        *,
        method: str,
        uri: str,
        body: bytes = b"",
        cnonce: str,
        remembered: NonceState | None,
        allow_downgrade: bool = False,
    ) -> Authorized | Refused:
        """Answer the topmost challenge that we can (RFC 8760 2.4), or say why none."""
        if not challenges:
            return Refused(Refusal.UNSUPPORTED)
        ours = [one for one in challenges if self._ha1(one.realm, one.algorithm) is not None]
        if not ours:
            return Refused(self._why_none(challenges))
        if remembered is not None and not allow_downgrade:
            ours = [challenge for challenge in ours if not _weaker(challenge, remembered)]
        chosen = digest.choose(ours)
        if chosen is None:
            return Refused(Refusal.DOWNGRADE)
        state = NonceState.of(chosen, cnonce)
        answered = self._answer(state.next(cnonce), method=method, uri=uri, body=body)
        assert answered is not None
        return answered

    def reuse(
        self, nonce: NonceState, *, method: str, uri: str, body: bytes = b"", cnonce: str
    ) -> Authorized | Refused:
        """Answer with a live nonce before being asked: one round trip less (RFC 7616 3.6)."""
        if nonce.uses >= MOST_ANSWERS:
            return Refused(Refusal.NONCE_SPENT)
        answered = self._answer(nonce.next(cnonce), method=method, uri=uri, body=body)
        return answered or Refused(Refusal.NONCE_SPENT)

    def check_relay(self, credentials: Credentials, method: str, body: bytes = b"") -> bool:
        """Whether an app's Digest answer was made with its relay login; in constant time."""
        named = credentials.params.get("username") or ""
        user_fits = hmac.compare_digest(named.encode(), self._record.relay_user.encode())
        wanted = _named(credentials.params.get("algorithm") or Algorithm.MD5.value)
        known = next((ha1 for ha1 in self._record.relay_ha1s if ha1.algorithm == wanted), None)
        if known is None:
            return False
        proven = digest.check(credentials, ha1_hex=known.digest.reveal(), method=method, body=body)
        return user_fits and proven

    def _answer(
        self, nonce: NonceState, *, method: str, uri: str, body: bytes
    ) -> Authorized | None:
        ha1_hex = self._ha1(nonce.realm, nonce.algorithm)
        if ha1_hex is None:
            return None
        value = digest.answer(
            nonce,
            user=self._user,
            ha1_hex=ha1_hex,
            method=method,
            uri=uri,
            body=body,
            cnonce=nonce.cnonce,
            nonce_count=nonce.uses,
            qop=nonce.qop,
        )
        header = "Proxy-Authorization" if nonce.proxy else "Authorization"
        return Authorized(header, value, nonce, self.password_based)

    def _ha1(self, realm: str, algorithm: Algorithm) -> str | None:
        """The HA1 that answers a challenge; None for a realm or algorithm that is not ours."""
        base, password = algorithm.base, self._record.password
        if password is not None:
            return digest.ha1(base, self._user, realm, password.reveal())
        known = self._record.ha1(realm, base)
        return None if known is None else known.reveal()

    def _why_none(self, offered: Sequence[DigestChallenge]) -> Refusal:
        if any(challenge.realm in self._record.realms for challenge in offered):
            return Refusal.UNKNOWN_ALGORITHM
        return Refusal.UNKNOWN_REALM


def digest_user(account: Account) -> str:
    """The user name of Digest: the one given, else the user part of the address-of-record."""
    if account.auth_user:
        return account.auth_user
    return user_of(account.aor)


def _named(algorithm: str) -> Algorithm | None:
    """The algorithm of the HA1 that an algorithm as written is answered from."""
    named = (known for known in Algorithm if known.value.lower() == algorithm.lower())
    return next((known.base for known in named), None)


def _weaker(challenge: DigestChallenge, remembered: NonceState) -> bool:
    if challenge.realm != remembered.realm:
        return False
    if _strength(challenge.algorithm) < _strength(remembered.algorithm):
        return True
    return remembered.qop is not None and not challenge.qop


def _strength(algorithm: Algorithm) -> int:
    return 0 if algorithm.base is Algorithm.MD5 else 1
