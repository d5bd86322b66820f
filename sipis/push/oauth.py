"""The access token of one Google service account (RFC 6749, RFC 7523).

Refuses to fetch a token in the send path: a service of the room refreshes it at three quarters of
its life, one fetch at a time, and the old token serves until its own expiry however long Google's
token server is down. Only the very first push of an account, or one after a refused token, has to
wait.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from sipis.clock import Clock
from sipis.push.deadlines import until
from sipis.push.exchange import Answer, Exchanged
from sipis.push.google import GoogleHttp
from sipis.push.jose import Claims, signed
from sipis.push.outcome import OAUTH, Misconfigured, Retry
from sipis.push.provider import FcmAccount

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE: Final = 3600
REFRESH_AT: Final = 0.75
FETCH_TIMEOUT: Final = 10.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
YOUNGEST_REFUSED: Final = 10.0
"""A token refused sooner than that is not the token's fault: no other one is fetched."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    made_at: float
    life: float

    def alive(self, now: float) -> bool:
        return now < self.made_at + self.life

    @property
    def refresh_at(self) -> float:
        return self.made_at + self.life * REFRESH_AT


class AccessToken:
    """Keeps one token fresh; keep() is the service that does it."""

    def __init__(self, account: FcmAccount, clock: Clock, http: GoogleHttp) -> None:
        self._account = account
        self._clock = clock
        self._http = http
        self._token: _Token | None = None
        self._wake = asyncio.Event()
        self._fetched: asyncio.Future[None] | None = None
        self._stopped = False
        self._pause = FIRST_PAUSE
        self.trouble: Retry | Misconfigured = Retry(OAUTH)
        """Why there is no token, when there is none."""

    def current(self) -> str | None:
        """Return the token while it lives."""
        token = self._token
        return token.text if token and token.alive(self._clock.monotonic()) else None

    async def wait(self, deadline: float) -> str | None:
        """Return the token, waiting for the fetch under way where there is none yet."""
        token = self.current()
        if token is not None or self._stopped:
            return token
        if self._fetched is None:
            self._fetched = asyncio.get_running_loop().create_future()
        try:
            async with until(self._clock, deadline):
                await asyncio.shield(self._fetched)
        except TimeoutError:
            return None
        return self.current()

    def refuse(self, text: str) -> None:
        """The token was refused: drop it and fetch another, unless it is too young for that."""
        token = self._token
        if token is None or token.text != text:
            return
        if self._clock.monotonic() - token.made_at >= YOUNGEST_REFUSED:
            self._token = None
            self._wake.set()

    def stop(self) -> None:
        """End keep()."""
        self._stopped = True
        self._wake.set()

    async def keep(self) -> None:
        """Fetch a token, and another one each time three quarters of its life are over."""
        while not self._stopped:
            await self._fetch()
            self._tell_fetched()
            await self._sleep_until(self._next_fetch())

    async def _fetch(self) -> None:
        now = self._clock.monotonic()
        body = urlencode({"grant_type": GRANT, "assertion": self._assertion()}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        exchanged = await self._http.post(
            self._account.token_uri, headers, body, now + FETCH_TIMEOUT
        )
        token = _token_of(exchanged, now)
        if token is None:
            self.trouble = _trouble(exchanged)
        else:
            self._token, self._pause = token, FIRST_PAUSE

    def _next_fetch(self) -> float:
        """After success at 75 % of the token's life; after failure soon, and ever less often."""
        now = self._clock.monotonic()
        if self._token is not None and self._token.refresh_at > now:
            return self._token.refresh_at
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return now + pause

    def _tell_fetched(self) -> None:
        fetched, self._fetched = self._fetched, None
        if fetched is not None and not fetched.done():
            fetched.set_result(None)

    async def _sleep_until(self, when: float) -> None:
        alarm = self._clock.call_at(when, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()
            self._wake.clear()

    def _assertion(self) -> str:
        now = int(self._clock.wall())
        claims: Claims = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": self._account.token_uri,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
        }
        return signed("RS256", claims, self._account.signer)


def _token_of(exchanged: Exchanged, now: float) -> _Token | None:
    if not isinstance(exchanged, Answer) or exchanged.status != 200:
        return None
    values = _object(exchanged.body)
    text, life = values.get("access_token"), values.get("expires_in")
    if not isinstance(text, str) or not isinstance(life, int | float):
        return None
    return _Token(text, now, float(life))


def _trouble(exchanged: Exchanged) -> Retry | Misconfigured:
    """A refusal means a revoked key or a wrong clock; anything else is Google's bad day."""
    if isinstance(exchanged, Answer) and exchanged.status in {400, 401, 403}:
        return Misconfigured("invalid_grant")
    return Retry(OAUTH)


def _object(body: bytes) -> dict[str, object]:
    try:
        values = json.loads(body)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
