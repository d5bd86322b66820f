"""The warm connection to one APNs server under one team's key.

Refuses to open more than it needs: one connection, a second while the first is being left or cannot
keep up. Dialling is single flight and belongs to no push: a push that is cancelled or late never
disturbs the others.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipis.clock import Alarm, Clock
from sipis.push.deadlines import until
from sipis.push.exchange import Exchanged, Headers, NotSent, Unanswered
from sipis.push.http2 import Http2Connection
from sipis.push.outcome import CONNECT
from sipis.push.provider import Spawner

CONNECT_TIMEOUT: Final = 5.0
LIFETIME: Final = 6 * 3600.0
"""After that a connection is replaced, so that a changed DNS answer is followed some day."""
FREE_RETRIES: Final = 5
CROWDED: Final = 2000
"""Requests on one connection that make a second one worth its handshake."""
MOST_CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Server:
    """Where a line leads; `ca_file` replaces the system's trusted roots."""

    host: str
    port: int
    ca_file: Path | None = None

    def tls(self) -> ssl.SSLContext:
        """Return a context that verifies the server and offers HTTP/2 alone (RFC 9113 3.3, 9.2)."""
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        return context


class Line:
    """Gives each request a connection, and another one where the first did not take it."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        spawner: Spawner,
        on_count: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._server = server
        self._clock = clock
        self._spawner = spawner
        self._on_count = on_count
        self._context: ssl.SSLContext | None = None
        self._connections: dict[Http2Connection, Alarm] = {}
        self._dialling: asyncio.Future[bool] | None = None
        self._closed = False

    async def exchange(
        self,
        headers: Headers,
        body: bytes,
        deadline: float,
        on_sent: Callable[[], None] | None = None,
    ) -> tuple[Http2Connection | None, Exchanged]:
        """Send a request; a connection that left it unanswered gets no further one."""
        result: Exchanged = NotSent(CONNECT)
        connection: Http2Connection | None = None
        for _ in range(1 + FREE_RETRIES):
            connection = await self._usable(deadline)
            if connection is None or self._clock.monotonic() >= deadline:
                break
            result = await connection.exchange(headers, body, deadline, on_sent)
            if not isinstance(result, NotSent):
                break
        if isinstance(result, Unanswered) and connection is not None:
            connection.retire()
        return connection, result

    def warm(self) -> None:
        """Connect in the background unless that has been done."""
        if self._best() is None:
            self._dial_once()

    def retire(self) -> None:
        """Make no new connection; those open end with their last answer."""
        self._closed = True
        for connection in list(self._connections):
            connection.retire()

    def close(self) -> None:
        """End all connections and make no new one."""
        self._closed = True
        for connection in list(self._connections):
            connection.close()

    async def _usable(self, deadline: float) -> Http2Connection | None:
        """Return a connection, dialled if need be; None when none could be had in time."""
        best = self._best()
        if best is None:
            await self._wait_for_dial(deadline)
            return self._best()
        if best.load > CROWDED and len(self._connections) < MOST_CONNECTIONS:
            self._dial_once()
        return best

    def _best(self) -> Http2Connection | None:
        usable = [each for each in self._connections if each.usable]
        return min(usable, key=lambda each: each.load, default=None)

    async def _wait_for_dial(self, deadline: float) -> None:
        dialling = self._dial_once()
        if dialling is None:
            return
        try:
            async with until(self._clock, deadline):
                await asyncio.shield(dialling)
        except TimeoutError:
            return

    def _dial_once(self) -> asyncio.Future[bool] | None:
        """Return the dialling under way, started if there is none; None when the room is closed."""
        if self._dialling is None and not self._closed:
            dialling: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._dialling = dialling
            if not self._spawner.spawn("dial", self._dial(dialling)):
                self._dialling = None
        return self._dialling

    async def _dial(self, dialling: asyncio.Future[bool]) -> None:
        made = False
        try:
            async with until(self._clock, self._clock.monotonic() + CONNECT_TIMEOUT):
                made = await self._connect()
        except (OSError, ssl.SSLError, TimeoutError):
            made = False
        finally:
            self._dialling = None
            if not dialling.done():
                dialling.set_result(made)

    async def _connect(self) -> bool:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Http2Connection(self._clock, self._on_change),
            self._server.host,
            self._server.port,
            ssl=self._tls(),
        )
        if connection.ended:
            return False
        self._connections[connection] = self._clock.call_at(
            self._clock.monotonic() + LIFETIME, connection.retire
        )
        self._on_count(1)
        try:
            return await connection.ready
        finally:
            if not connection.ready.done() or connection.ready.cancelled():
                connection.close()

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._server.tls()
        return self._context

    def _on_change(self, connection: Http2Connection) -> None:
        """Forget what has ended; open the next one before a push has to wait for it."""
        served = connection.answers > 0
        if connection.ended and connection in self._connections:
            self._connections.pop(connection).cancel()
            self._on_count(-1)
        if served and not self._closed and self._best() is None:
            self._dial_once()
