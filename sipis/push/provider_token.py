"""The provider token of APNs: one per (team, key) for the whole process.

Refuses to be renewed more often than every 20 minutes, which Apple punishes with 429 on the
connection (Apple, "Establishing a token-based connection to APNs"). Making one takes no await, so
it is single flight by nature.
"""

from dataclasses import dataclass
from typing import Final

from sipis.clock import Clock
from sipis.push.jose import Claims, signed
from sipis.push.provider import ApnsAccount, Signer

RENEW_AFTER: Final = 45 * 60.0
FLOOR: Final = 20 * 60.0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    made_at: float


class ProviderToken:
    """The current token of one key."""

    def __init__(self, team_id: str, signer: Signer, clock: Clock) -> None:
        self._team_id = team_id
        self._signer = signer
        self._clock = clock
        self._token: _Token | None = None

    def current(self) -> str:
        """Return the token, a new one when it is 45 minutes old."""
        token = self._token
        if token is None or self._age(token) >= RENEW_AFTER:
            token = self._make()
        return token.text

    def renew(self, refused: str) -> bool:
        """Replace the token that was refused; False where it is too young for that."""
        token = self._token
        if token is None or token.text != refused:
            return True
        if self._age(token) < FLOOR:
            return False
        self._make()
        return True

    def _age(self, token: _Token) -> float:
        return self._clock.monotonic() - token.made_at

    def _make(self) -> _Token:
        claims: Claims = {"iss": self._team_id, "iat": int(self._clock.wall())}
        self._token = _Token(signed("ES256", claims, self._signer), self._clock.monotonic())
        return self._token


class ProviderTokens:
    """The tokens of all keys in use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[tuple[str, str], tuple[Signer, ProviderToken]] = {}

    def of(self, account: ApnsAccount) -> ProviderToken:
        """Return the token holder of the account's key; a replaced key gets a new one."""
        name = (account.team_id, account.signer.key_id)
        signer, token = self._tokens.get(name, (None, None))
        if token is None or signer is not account.signer:
            token = ProviderToken(account.team_id, account.signer, self._clock)
            self._tokens[name] = (account.signer, token)
        return token
