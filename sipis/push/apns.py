"""Apple Push Notification service: aioapns' request types over connections of our own.

Refuses aioapns' connection layer, which loses, doubles and hangs pushes, and refuses to mix teams:
each (team, key, server) has its own line and its own provider token.
"""

import json
from collections.abc import Callable
from typing import Final

from aioapns.common import NotificationRequest

from sipis.clock import Clock
from sipis.model import Environment, PushService
from sipis.observe.metrics import Metrics
from sipis.push.apns_request import body_of, compose, headers_of
from sipis.push.connections import Line, Server
from sipis.push.exchange import Answer, Exchanged, NotSent
from sipis.push.outcome import (
    NO_ACCOUNT,
    Ambiguous,
    Faulty,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.push.provider import ApnsAccount, Spawner, TargetedPush
from sipis.push.provider_token import ProviderToken, ProviderTokens
from sipis.push.tables import classify_apns

LineName = tuple[str, str, Server]
Accounts = Callable[[str], ApnsAccount | None]
MISROUTED: Final = "misrouted"
EARLIEST: Final = 1_262_304_000_000
LATEST: Final = 4_102_444_800_000
"""Milliseconds of 2010 and 2100: a time stamp outside of them says nothing."""


class ApnsProvider:
    """Sends pushes to Apple; `accounts` is asked at each push, so that keys reload at once."""

    service = PushService.APNS

    def __init__(
        self, accounts: Accounts, *, clock: Clock, spawner: Spawner, metrics: Metrics
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._spawner = spawner
        self._metrics = metrics
        self._tokens = ProviderTokens(clock)
        self._lines: dict[LineName, Line] = {}
        self._in_use: dict[tuple[str, Environment], LineName] = {}
        self._connected = 0

    async def send(self, push: TargetedPush) -> PushOutcome:
        """Send one push; its outcome is known by `push.deadline`."""
        account = self._accounts(push.notification.app)
        if account is None:
            return Misconfigured(NO_ACCOUNT)
        request = compose(push, account.topic)
        if request is None:
            return Faulty(MISROUTED)
        body = body_of(request)
        if body is None:
            return TooLarge("PayloadTooLarge")
        return await self._exchange(account, push, request, body)

    def warm(self, app: str) -> None:
        """Connect to the production environment of the app's account, in the background."""
        account = self._accounts(app)
        if account is not None:
            self._line(app, account, Environment.PRODUCTION).warm()

    async def close(self) -> None:
        """End all connections."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        self._in_use.clear()

    async def _exchange(
        self, account: ApnsAccount, push: TargetedPush, request: NotificationRequest, body: bytes
    ) -> PushOutcome:
        line = self._line(push.notification.app, account, push.environment)
        provider_token = self._tokens.of(account)
        token = provider_token.current()
        headers = headers_of(
            request,
            authority=account.servers[push.environment][0],
            token=token,
            now=self._clock.wall(),
        )
        connection, exchanged = await line.exchange(headers, body, push.deadline, push.on_sent)
        outcome = _judged(exchanged)
        if isinstance(outcome, Retry) and outcome.fresh_connection and connection is not None:
            connection.retire()
        return _with_new_token(provider_token, token, outcome)

    def _line(self, app: str, account: ApnsAccount, environment: Environment) -> Line:
        """Return the line of the account; the line of a key that was replaced is let go."""
        host, port = account.servers[environment]
        name = (account.team_id, account.signer.key_id, Server(host, port, account.ca_file))
        before = self._in_use.get((app, environment))
        self._in_use[app, environment] = name
        if before is not None and before not in self._in_use.values():
            self._lines.pop(before).retire()
        if name not in self._lines:
            self._lines[name] = Line(name[2], self._clock, self._spawner, self._count)
        return self._lines[name]

    def _count(self, change: int) -> None:
        self._connected += change
        self._metrics.gauge("apns_connections", self._connected)


def _judged(exchanged: Exchanged) -> PushOutcome:
    """Return what an exchange means; no connection at all is no fault of the target."""
    if isinstance(exchanged, Answer):
        return classify_apns(exchanged.status, *_reason(exchanged))
    if isinstance(exchanged, NotSent):
        return Retry(exchanged.why)
    return Ambiguous(exchanged.why)


def _reason(answer: Answer) -> tuple[str, float | None]:
    """Return `reason` and `timestamp` of the body; a body of a proxy has neither."""
    if not answer.body:
        return "", None
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return "", None
    if not isinstance(problem, dict):
        return "", None
    timestamp = problem.get("timestamp")
    valid = isinstance(timestamp, int | float) and EARLIEST < timestamp < LATEST
    return str(problem.get("reason", "")), timestamp if valid else None


def _with_new_token(
    provider_token: ProviderToken, refused: str, outcome: PushOutcome
) -> PushOutcome:
    """Replace a token that was refused; a retry that Apple allows no new token must not happen."""
    if not isinstance(outcome, Retry | Misconfigured) or not outcome.stale_token:
        return outcome
    renewed = provider_token.renew(refused)
    return outcome if renewed else Misconfigured(outcome.reason, stale_token=True)
