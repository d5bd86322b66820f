"""The two HTTP listeners: the app API for everybody, the admin API for operators.

Refuses TLS before 1.2 and bodies over the limit; who may call is decided in the handlers.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web

from sipis.api.admin import token_guard
from sipis.api.edge import edge
from sipis.api.keys import KeyFile
from sipis.api.limits import RateLimit
from sipis.api.openapi import document
from sipis.api.operations import OPERATIONS
from sipis.clock import Clock
from sipis.config import AdminSettings, ApiSettings
from sipis.errors import ConfigError
from sipis.observe.metrics import Metrics

IDLE = 75.0
OPERATORS_PER_MINUTE = 6000

Handlers = Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]


def public_app(
    settings: ApiSettings, handlers: Handlers, clock: Clock, metrics: Metrics
) -> web.Application:
    """The application that apps talk to: one route for each operation of the table."""
    limit = RateLimit(clock, settings.requests_per_minute)
    app = web.Application(middlewares=[edge(limit, metrics)], client_max_size=settings.max_body)
    for operation in OPERATIONS:
        app.router.add_route(
            operation.method, operation.path, handlers[operation.name], name=operation.name
        )
    described = document()

    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(described)

    app.router.add_get("/openapi.json", openapi, name="openapi")
    return app


def admin_app(
    routes: Sequence[web.RouteDef], token: KeyFile, clock: Clock, metrics: Metrics
) -> web.Application:
    """The application that operators talk to."""
    limit = RateLimit(clock, OPERATORS_PER_MINUTE)
    app = web.Application(middlewares=[edge(limit, metrics), token_guard(token)])
    app.router.add_routes(routes)
    return app


class HttpListener:
    """One HTTP address that serves one application."""

    def __init__(
        self, app: web.Application, settings: ApiSettings | AdminSettings, section: str
    ) -> None:
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE)
        self._settings = settings
        self._section = section
        self.port = settings.port

    async def start(self) -> None:
        """Listen; ConfigError names the section when the address cannot be had."""
        await self._runner.setup()
        context = (
            server_context(self._settings) if isinstance(self._settings, ApiSettings) else None
        )
        site = web.TCPSite(
            self._runner, self._settings.host, self._settings.port, ssl_context=context
        )
        try:
            await site.start()
        except OSError as failure:
            await self._runner.cleanup()
            problem = failure.strerror or "cannot be listened at"
            raise ConfigError(f"{self._section}.port", problem) from None
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Finish the requests under way, within seconds, and stop listening."""
        await self._runner.cleanup()


def server_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """The TLS context of the API; None without a certificate, ConfigError with a bad one."""
    if settings.cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, settings.cert_file, settings.key_file)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise ConfigError("api.cert_file", "certificate or key cannot be used") from None
