"""The admin listener: metrics, health, instances; for operators, behind a token.

Refuses to show what an operator need not know: no account, no token, no number.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sipis.api import problems
from sipis.api.edge import answer
from sipis.api.instances import present
from sipis.api.keys import KeyFile, bearer, digest, password
from sipis.api.problems import Problem
from sipis.api.views import instance_answer, operator_answer, receipt_answer
from sipis.clock import Clock
from sipis.lifecycle.service import Lifecycle
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.store import apps, lookup, targets
from sipis.store.runner import Store

PAGE = 100
LONGEST_NUMBER = 18
BROWSED = "audit"
"""The folder of pages that a browser looks at: it sends the token as a password."""

OPEN_TO_ALL = frozenset({"/healthz", "/readyz"})


def token_guard(token: KeyFile) -> Middleware:
    """The middleware that wants the admin token everywhere but at the health checks."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_TO_ALL:
            return await handler(request)
        by_browser = request.path.split("/")[1] == BROWSED
        offered = password(request) if by_browser else bearer(request)
        if not token.matches(digest(offered)):
            wanted = 'Basic realm="sipis"' if by_browser else "Bearer"
            raise Problem(problems.UNAUTHORIZED, headers={"WWW-Authenticate": wanted})
        return await handler(request)

    return guard


class AdminHandlers:
    """What an operator can ask and do."""

    def __init__(
        self, lifecycle: Lifecycle, store: Store, metrics: Metrics, health: Health, clock: Clock
    ) -> None:
        self._lifecycle = lifecycle
        self._store = store
        self._metrics = metrics
        self._health = health
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """All routes of the listener."""
        return [
            web.get("/metrics", self.metrics, name="metrics"),
            web.get("/healthz", self.healthz, name="healthz"),
            web.get("/readyz", self.readyz, name="readyz"),
            web.get("/v1/admin/stats", self.stats, name="stats"),
            web.get("/v1/admin/instances", self.instances, name="admin_instances"),
            web.get("/v1/admin/instances/{id}", self.instance, name="admin_instance"),
            web.delete("/v1/admin/instances/{id}", self.delete, name="admin_delete"),
            web.delete("/v1/admin/apps/{app}", self.remove_app, name="admin_remove_app"),
        ]

    async def metrics(self, _: web.Request) -> web.Response:
        """Give Prometheus what it scrapes."""
        return web.Response(body=self._metrics.exposition(), content_type="text/plain")

    async def healthz(self, _: web.Request) -> web.Response:
        """Say that the process lives."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Say whether the server serves, and what troubles it."""
        return web.json_response(self._health.report(), status=200 if self._health.ready else 503)

    async def stats(self, _: web.Request) -> web.Response:
        """Count instances by app and by state."""
        by_app = await self._store.read(apps.counts)
        states = await self._store.read(lookup.count_states)
        return web.json_response({
            "apps": {
                app: {"instances": it.instances, "targets": it.targets}
                for app, it in by_app.items()
            },
            "states": {state.value: count for state, count in states.items()},
        })  # fmt: skip

    async def instances(self, request: web.Request) -> web.Response:
        """List instances, a page at a time; `after` is the `next` of the page before."""
        after = request.query.get("after", "0")
        if not after.isdecimal() or len(after) > LONGEST_NUMBER:
            raise Problem(problems.INVALID_FIELD, "must be the `next` of a page", "after")
        now = self._clock.wall()
        rows = await self._store.read(
            lookup.page, now, after=int(after), limit=PAGE, app=request.query.get("app")
        )
        shown = [instance_answer(it, now).model_dump(mode="json") | {"app": it.app} for it in rows]
        following = rows[-1].n if len(rows) == PAGE else None
        return web.json_response({"instances": shown, "next": following})

    async def instance(self, request: web.Request) -> web.Response:
        """Show one instance, and what is known of its push targets."""
        now = self._clock.wall()
        row = present(await self._store.read(lookup.by_id, request.match_info["id"], now))
        known = await self._store.read(targets.list_for, row.n)
        return web.json_response(operator_answer(row, known, now).model_dump(mode="json"))

    async def delete(self, request: web.Request) -> web.Response:
        """Destroy one instance, by the same path as its own app would."""
        deleted = await self._lifecycle.delete(request.match_info["id"])
        if deleted is None:
            raise Problem(problems.NOT_FOUND)
        return answer(receipt_answer(deleted.receipt))

    async def remove_app(self, request: web.Request) -> web.Response:
        """Destroy all instances of an app, configured or not."""
        removed = await self._lifecycle.remove_app(request.match_info["app"])
        return web.json_response({"removed": removed})
