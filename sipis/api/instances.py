"""The life of an instance over HTTP: enable, read, replace, refresh, verify, disable.

Refuses to tell an unknown instance from a wrong secret: both are the same 404.
"""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from sipis.api import problems, schema
from sipis.api.edge import answer, body_of, optional_body_of
from sipis.api.keys import AppKeys, bearer
from sipis.api.orders import enable_order, replace_order, targets_of
from sipis.api.problems import Problem
from sipis.api.views import export_of, instance_answer, receipt_answer, state_of, time_of
from sipis.clock import Clock
from sipis.config import AppSettings
from sipis.lifecycle.orders import Conflict, Enabled, Full, TooManyAttempts
from sipis.lifecycle.service import Lifecycle
from sipis.store.lookup import InstanceRow

LONGEST_IDEMPOTENCY_KEY = 200
_CONFLICTS = {
    Conflict.DELETED: "its instance was deleted",
    Conflict.MISMATCH: "it was used for another account",
}


class Gate:
    """Finds the instance of a request, or lets nobody in."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    async def row(self, request: web.Request) -> InstanceRow:
        """The instance that the path names and the bearer secret opens."""
        row = await self._lifecycle.find(request.match_info["id"], bearer(request))
        return present(row)


def present(row: InstanceRow | None) -> InstanceRow:
    """The row; gone meanwhile is the same as never there."""
    if row is None:
        raise Problem(problems.NOT_FOUND)
    return row


class InstanceHandlers:
    """The handlers of one instance's life, by operation name."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        keys: AppKeys,
        apps: Callable[[], Mapping[str, AppSettings]],
        clock: Clock,
        relay_uris: Callable[[], tuple[str, ...]],
    ) -> None:
        self._lifecycle = lifecycle
        self._gate = Gate(lifecycle)
        self._keys = keys
        self._apps = apps
        self._clock = clock
        self._relay_uris = relay_uris

    async def enable(self, request: web.Request) -> web.Response:
        """POST /v1/instances."""
        app = self._keys.app_of(bearer(request))
        if app is None:
            raise Problem(problems.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        body = await body_of(request, schema.CreateBody)
        if body.app_id != app:
            raise Problem(problems.INVALID_FIELD, "is not the app of this key", "app_id")
        order = enable_order(body, self._settings_of(app), _idempotency_key(request))
        enabled = await self._lifecycle.enable(order)
        if isinstance(enabled, Conflict):
            raise Problem(problems.CONFLICT, _CONFLICTS[enabled], "Idempotency-Key")
        if isinstance(enabled, Full):
            raise Problem(problems.UNAVAILABLE, "the app has as many instances as it may")
        return answer(self._created(enabled), 201)

    async def read(self, request: web.Request) -> web.Response:
        """GET the state."""
        return self._shown(await self._gate.row(request))

    async def replace(self, request: web.Request) -> web.Response:
        """PUT account, targets, mode or lifetime."""
        row = await self._gate.row(request)
        body = await body_of(request, schema.ReplaceBody)
        order = replace_order(body, self._settings_of(row.app))
        return self._shown(present(await self._lifecycle.replace(row, order)))

    async def refresh(self, request: web.Request) -> web.Response:
        """POST …/refresh."""
        row = await self._gate.row(request)
        body = await optional_body_of(request, schema.RefreshBody)
        targets = targets_of(body.targets, self._settings_of(row.app)) if body.targets else None
        return self._shown(present(await self._lifecycle.refresh(row, body.ttl, targets)))

    async def foreground(self, request: web.Request) -> web.Response:
        """POST …/foreground."""
        row = await self._gate.row(request)
        body = await optional_body_of(request, schema.ForegroundBody)
        return self._shown(present(await self._lifecycle.foreground(row, body.lease)))

    async def background(self, request: web.Request) -> web.Response:
        """POST …/background."""
        row = await self._gate.row(request)
        return self._shown(present(await self._lifecycle.background(row)))

    async def verify(self, request: web.Request) -> web.Response:
        """POST …/verify."""
        row = await self._gate.row(request)
        body = await body_of(request, schema.VerifyBody)
        verdict = await self._lifecycle.verify(row, body.code)
        if isinstance(verdict, TooManyAttempts):
            raise Problem(problems.TOO_MANY, retry_after=60)
        if not verdict:
            raise Problem(problems.INVALID_FIELD, "is not the code that was pushed", "code")
        return await self.read(request)

    async def disable(self, request: web.Request) -> web.Response:
        """DELETE; answered once the key is destroyed."""
        deleted = await self._lifecycle.disable(request.match_info["id"], bearer(request))
        if deleted is None:
            raise Problem(problems.NOT_FOUND)
        return answer(receipt_answer(deleted.receipt))

    async def receipt(self, request: web.Request) -> web.Response:
        """GET /v1/receipts/{commitment}; whoever knows the commitment may read it."""
        try:
            commitment = bytes.fromhex(request.match_info["commitment"])
        except ValueError:
            raise Problem(problems.NOT_FOUND) from None
        receipt = await self._lifecycle.receipt(commitment)
        if receipt is None:
            raise Problem(problems.NOT_FOUND)
        return answer(receipt_answer(receipt))

    async def export(self, request: web.Request) -> web.Response:
        """GET …/export (GDPR Art. 15 and 20)."""
        row = await self._gate.row(request)
        exported = await self._lifecycle.export(row)
        if exported is None:
            raise Problem(problems.NOT_FOUND)
        shown = instance_answer(row, self._clock.wall()).model_dump(mode="json")
        return web.json_response(export_of(exported, shown))

    async def push_test(self, request: web.Request) -> web.Response:
        """POST …/push-test."""
        report = await self._lifecycle.push_test(await self._gate.row(request))
        return answer(schema.PushTestAnswer(accepted=report.accepted if report else 0))

    def handlers(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """The handlers under the names of their operations."""
        names = (
            "enable", "read", "replace", "refresh", "foreground", "background", "verify", "disable",
            "receipt", "export", "push_test",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def _settings_of(self, app: str) -> AppSettings:
        """The settings of an app; an operator may have taken it out while its instances live."""
        settings = self._apps().get(app)
        if settings is None:
            raise Problem(problems.INVALID_FIELD, "is not configured any more", "app_id")
        return settings

    def _shown(self, row: InstanceRow) -> web.Response:
        return answer(instance_answer(row, self._clock.wall()))

    def _created(self, enabled: Enabled) -> schema.CreatedAnswer:
        row, opening = enabled.row, enabled.opening
        username, password = enabled.relay.for_app()
        relay = schema.RelayAnswer(
            username=username, password=password, realm=enabled.relay.realm, uris=self._relay_uris()
        )
        return schema.CreatedAnswer(
            instance=row.id,
            secret=enabled.secret,
            expires_at=time_of(row.expires_at),
            ttl=round(row.ttl),
            state=state_of(row, self._clock.wall()),
            relay=relay,
            receipt=schema.OpeningAnswer(
                commitment=opening.commitment.hex(), salt=opening.salt.hex()
            ),
        )


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (key.isprintable() and 0 < len(key) <= LONGEST_IDEMPOTENCY_KEY):
        raise Problem(problems.INVALID_FIELD, "must be 1 to 200 characters", "Idempotency-Key")
    return key
