"""HTTP toward Google: one connection pool per account, every request with its own deadline.

Refuses redirects, unbounded bodies, and exceptions: what came back is an Exchanged, as with APNs.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from sipis.clock import Clock
from sipis.push.deadlines import until
from sipis.push.exchange import LONGEST_BODY, Answer, Exchanged, NotSent, Unanswered
from sipis.push.outcome import CONNECT, DEADLINE, LOST
from sipis.push.provider import nothing

MOST_CONNECTIONS: Final = 128
"""Each holds about 140 KiB of TLS buffers, and a burst of calls after a busy moment opens them all;
at 100 ms a push as many send over a thousand a second."""
KEEP_ALIVE: Final = 60.0
"""Seconds; Google closes idle connections after some minutes, and a push must not race that."""


class GoogleHttp:
    """Posts to Google's servers; the pool opens with the first request."""

    def __init__(self, clock: Clock, ca_file: Path | None = None) -> None:
        self._clock = clock
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        deadline: float,
        on_sent: Callable[[], None] = nothing,
    ) -> Exchanged:
        """Send one request and return what became of it by the deadline (monotonic).

        `on_sent` is called when the request is written.
        """
        try:
            async with until(self._clock, deadline):
                return await self._post(url, headers, body, on_sent)
        except TimeoutError:
            return Unanswered(DEADLINE)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL):
            return NotSent(CONNECT)
        except (aiohttp.ClientError, OSError):
            return Unanswered(LOST)

    async def close(self) -> None:
        """Close the pool."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes, on_sent: Callable[[], None]
    ) -> Exchanged:
        async with self._opened().post(
            url, data=_Body(body, on_sent), headers=headers, allow_redirects=False
        ) as response:
            names = {name.lower(): value for name, value in response.raw_headers}
            return Answer(response.status, names, await _read(response.content))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=MOST_CONNECTIONS, keepalive_timeout=KEEP_ALIVE, ssl=self._tls()
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)


class _Body(aiohttp.BytesPayload):
    """A request body that tells when it is written, and its head with it."""

    def __init__(self, body: bytes, on_sent: Callable[[], None]) -> None:
        super().__init__(body)
        self._on_sent = on_sent

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        await super().write_with_length(writer, content_length)
        self._on_sent()


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return the body, as far as the limit."""
    pieces: list[bytes] = []
    room = LONGEST_BODY
    while room > 0 and not content.at_eof():
        piece = await content.read(room)
        pieces.append(piece)
        room -= len(piece)
    return b"".join(pieces)
