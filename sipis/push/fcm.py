"""Firebase Cloud Messaging, HTTP v1: firebase-admin's messages through a sender of our own.

Refuses firebase-admin's sender: its OAuth refresh blocks the event loop for seconds and it costs
ten times the CPU. Refuses to call a target dead for a 404 without FCM's own error code: that is a
wrong project, and believing it would wipe out every phone of the app.
"""

from collections.abc import Callable

from sipis.clock import Clock
from sipis.model import PushEvent, PushService
from sipis.push.exchange import Answer, Exchanged, NotSent
from sipis.push.fcm_error import deciding_word, seconds_of
from sipis.push.fcm_message import body_of
from sipis.push.google import GoogleHttp
from sipis.push.oauth import AccessToken
from sipis.push.outcome import (
    NO_ACCOUNT,
    Accepted,
    Ambiguous,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.push.provider import FcmAccount, Spawner, TargetedPush
from sipis.push.tables import classify_fcm

Accounts = Callable[[str], FcmAccount | None]
OK = 200
GRACE = 30.0
"""Seconds that the pool of a replaced account lives on, for what is in flight."""


class _Project:
    """One account at work: its pool, its token, and which events it has had accepted."""

    def __init__(self, account: FcmAccount, clock: Clock) -> None:
        self.account = account
        self.url = f"{account.base_url}/v1/projects/{account.project_id}/messages:send"
        self.http = GoogleHttp(clock, account.ca_file)
        self.token = AccessToken(account, clock, self.http)
        self.accepted: set[PushEvent] = set()

    async def close(self) -> None:
        self.token.stop()
        await self.http.close()


class FcmProvider:
    """Sends pushes to Google; `accounts` is asked at each push, so that keys reload at once."""

    service = PushService.FCM

    def __init__(self, accounts: Accounts, *, clock: Clock, spawner: Spawner) -> None:
        self._accounts = accounts
        self._clock = clock
        self._spawner = spawner
        self._projects: dict[str, _Project] = {}

    async def send(self, push: TargetedPush) -> PushOutcome:
        """Send one push; its outcome is known by `push.deadline`."""
        project = self._project(push.notification.app)
        if project is None:
            return Misconfigured(NO_ACCOUNT)
        body = body_of(push)
        if body is None:
            return TooLarge("INVALID_ARGUMENT")
        token = await project.token.wait(push.deadline)
        if token is None:
            return project.token.trouble
        return await self._exchange(project, push, token, body)

    def warm(self, app: str) -> None:
        """Begin to fetch the app's first token."""
        self._project(app)

    async def close(self) -> None:
        """Close all pools and end the refreshing of tokens."""
        for project in self._projects.values():
            await project.close()
        self._projects.clear()

    async def _exchange(
        self, project: _Project, push: TargetedPush, token: str, body: bytes
    ) -> PushOutcome:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        exchanged = await project.http.post(project.url, headers, body, push.deadline, push.on_sent)
        event = push.notification.event
        outcome = self._judged(exchanged, payload_known_good=event in project.accepted)
        if isinstance(outcome, Accepted):
            project.accepted.add(event)
        elif isinstance(outcome, Retry) and outcome.stale_token:
            project.token.refuse(token)
        return outcome

    def _judged(self, exchanged: Exchanged, *, payload_known_good: bool) -> PushOutcome:
        if isinstance(exchanged, NotSent):
            return Retry(exchanged.why)
        if not isinstance(exchanged, Answer):
            return Ambiguous(exchanged.why)
        if exchanged.status == OK:  # its body names the message, which nobody asks for
            return classify_fcm(OK, "")
        retry_after = exchanged.headers.get(b"retry-after", b"").decode("ascii", "replace")
        return classify_fcm(
            exchanged.status,
            deciding_word(exchanged.body, payload_known_good=payload_known_good),
            seconds_of(retry_after, self._clock.wall()),
        )

    def _project(self, app: str) -> _Project | None:
        """Return the project of the app's account as it is now."""
        account = self._accounts(app)
        project = self._projects.get(app)
        if project is not None and project.account == account:
            return project
        if project is not None:
            self._spawner.spawn("retire", self._retire(self._projects.pop(app)))
        return self._open(app, account) if account is not None else None

    def _open(self, app: str, account: FcmAccount) -> _Project:
        project = _Project(account, self._clock)
        self._projects[app] = project
        self._spawner.serve("oauth", project.token.keep)
        return project

    async def _retire(self, project: _Project) -> None:
        project.token.stop()
        await self._clock.sleep(GRACE)
        await project.close()
