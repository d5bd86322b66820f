"""The two HTTP listeners: the app API for everybody, the admin API for operators.

Refuses TLS before 1.2, bodies over the limit, and peers that take their time: a connection on
which no request comes to its end is closed. Who may call is decided in the handlers.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import HttpVersion11, web

from sipis.api.admin import token_guard
from sipis.api.connection import Connection, Guests, hearing, marking
from sipis.api.edge import edge
from sipis.api.keys import KeyFile
from sipis.api.limits import RateLimit, named_by_proxy, peer
from sipis.api.openapi import document
from sipis.api.operations import OPERATIONS
from sipis.api.rinse import Rinse, rinsing
from sipis.clock import Clock
from sipis.config import AdminSettings, ApiSettings
from sipis.errors import ConfigError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.transport.acceptor import Acceptor
from sipis.transport.arrivals import (
    ARRIVALS_PER_SOURCE,
    MOST_ARRIVALS,
    Arrival,
    Arrivals,
    Shortage,
)
from sipis.transport.sockets import open_socket

PATIENCE: Final = 12.0
"""Seconds for the head of a request, counted from the connection or from the last answer."""
PROXY_PATIENCE: Final = 75.0
"""The same where a proxy stands in front: it keeps its connections, and slow peers, to itself."""
MOST_CONNECTIONS: Final = 5_000
CONNECTIONS_PER_SOURCE: Final = 256
"""Of one address, or one /64 over IPv6; where a proxy stands in front they all come from it."""
OPERATORS_PER_MINUTE = 6000

Handlers = Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]


def public_app(
    settings: ApiSettings, handlers: Handlers, clock: Clock, metrics: Metrics
) -> web.Application:
    """The application that apps talk to: one route for each operation of the table."""
    limit = RateLimit(clock, settings.requests_per_minute)
    source = named_by_proxy if settings.behind_proxy else peer
    guard = edge(limit, metrics, source)
    app = web.Application(middlewares=[guard], client_max_size=settings.max_body)
    for operation in OPERATIONS:
        app.router.add_route(
            operation.method,
            operation.path,
            handlers[operation.name],
            name=operation.name,
            expect_handler=_ask_for_body,
        )
    described = document()

    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(described)

    app.router.add_get("/openapi.json", openapi, name="openapi")
    return app


async def _ask_for_body(request: web.Request) -> None:
    """Tell a sender who waits for it to send the body.

    Any other expectation is passed over (RFC 9110 section 10.1.1): aiohttp would quote it back.
    """
    if request.headers["Expect"].lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what is to count is the answer


def admin_app(
    routes: Sequence[web.RouteDef], token: KeyFile, clock: Clock, metrics: Metrics
) -> web.Application:
    """The application that operators talk to."""
    limit = RateLimit(clock, OPERATORS_PER_MINUTE)
    app = web.Application(middlewares=[edge(limit, metrics), token_guard(token)])
    app.router.add_routes(routes)
    return app


class HttpListener:
    """One HTTP address that serves one application; run() must be running from its start on."""

    def __init__(
        self,
        app: web.Application,
        settings: ApiSettings | AdminSettings,
        section: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._rinse = Rinse()
        app.middlewares[:0] = [hearing, rinsing(self._rinse)]
        app.on_response_prepare.append(marking)
        self._runner = web.AppRunner(app)
        self._supervisor = Supervisor("api", clock)
        self._settings = settings
        self._section = section
        self._context: ssl.SSLContext | None = None
        self._acceptors: list[Acceptor] = []
        self._proxied = isinstance(settings, ApiSettings) and settings.behind_proxy
        self._patience = PROXY_PATIENCE if self._proxied else PATIENCE
        self._limit(clock, metrics)
        self.port = settings.port

    def _limit(self, clock: Clock, metrics: Metrics) -> None:
        """Bound who is in and who is on the way in; a proxy in front is everybody's source."""

        def refused(short: Shortage) -> None:
            metrics.count("arrivals_refused_total", entrance=self._section, short=short)

        guests, arrivals = CONNECTIONS_PER_SOURCE, ARRIVALS_PER_SOURCE
        if self._proxied:
            guests, arrivals = MOST_CONNECTIONS, MOST_ARRIVALS
        self._guests = Guests(MOST_CONNECTIONS, guests)
        self._arrivals = Arrivals(
            clock, self._supervisor.spawn, per_source=arrivals, on_refused=refused
        )

    async def start(self) -> None:
        """Listen; ConfigError names the section when the address cannot be had."""
        if isinstance(self._settings, ApiSettings):
            self._context = server_context(self._settings)
        await self._runner.setup()
        try:
            await self._rinse.open()
            await self._listen()
        except OSError as failure:
            await self.stop()
            problem = failure.strerror or "cannot be listened at"
            raise ConfigError(f"{self._section}.port", problem) from None
        except BaseException:
            await self.stop()
            raise

    async def run(self) -> None:
        """Take connections until stop() or cancellation."""
        await self._supervisor.run()

    def reload(self) -> None:
        """Use renewed certificate files from the next handshake on; ConfigError: as it was."""
        settings = self._settings
        if self._context is None or not isinstance(settings, ApiSettings):
            return
        server_context(settings)
        if settings.cert_file is not None:
            _load(self._context, settings.cert_file, settings.key_file)

    async def stop(self) -> None:
        """Finish the requests under way, within seconds, and stop listening."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._arrivals.end_all()
        self._guests.turn_away()
        await self._runner.cleanup()
        self._supervisor.stop()
        self._rinse.close()

    async def _listen(self) -> None:
        """Open every address that the host stands for."""
        addresses = await asyncio.get_running_loop().getaddrinfo(
            self._settings.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, _, _, (host, port, *_) in addresses:
            bound = open_socket(family, kind, str(host), int(port))
            self._acceptors.append(Acceptor(bound, self._welcome, self._arrivals))
            self.port = int(bound.getsockname()[1])
        for acceptor in self._acceptors:
            acceptor.open()

    async def _welcome(self, arrival: Arrival) -> None:
        http = self._runner.server
        if http is None:
            raise ConnectionAbortedError
        connection = Connection(http, self._guests, self._patience)
        if self._proxied:
            connection.settled.set()
        await connection.come_in(arrival, self._context)


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
