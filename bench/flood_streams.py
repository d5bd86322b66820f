"""Attacks over connections: slow peers, halves, sudden ends, floods of requests, to SIP and HTTP.

Every connection has an address of its own. Refuses to wait for ever: what the server has not closed
after PATIENCE is closed here.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from bench.flood_pace import Attack
from bench.flood_words import HOST, KIB, Words

PATIENCE: Final = 30.0
DRIP: Final = 0.5
"""Seconds between two bytes of a slow peer."""
REQUESTS: Final = 50
"""Requests on one connection of a peer that floods."""
HEAD: Final = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nX-Slow: "
BODY: Final = (
    b"POST /v1/instances HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer guess\r\nContent-Length: 30000\r\n\r\n{"
)
SIP: Final = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a"
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send RST."""

Say = Callable[[], bytes]
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Streams:
    """All who open connections."""

    def __init__(self, words: Words, chance: random.Random, counts: Counter[str]) -> None:
        self._words = words
        self._chance = chance
        self._counts = counts
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def attacks(self, provider: int, app: int, app_tls: int, api: int) -> list[Attack]:
        """Each kind of attack against each port that it is made for."""
        words = self._words
        return [
            *self._on_sip(provider),
            *self._on_sip(app),
            self._attack("TLS requests", 2, self._flood(app_tls, self._request, self._context)),
            self._attack("TLS garbage", 3, self._hold(app_tls, words.garbage)),
            self._attack("TLS opened and dropped", 10, self._drop(app_tls)),
            self._attack("API slow heads", 3, self._drip(api, HEAD)),
            self._attack("API slow bodies", 3, self._drip(api, BODY)),
            self._attack("API requests", 40, self._hold(api, words.api_call)),
            self._attack("API garbage", 5, self._hold(api, words.garbage)),
            self._attack("API opened and dropped", 20, self._drop(api)),
        ]

    def _on_sip(self, port: int) -> list[Attack]:
        words = self._words
        return [
            self._attack("SIP slowloris", 3, self._drip(port, SIP)),
            self._attack("SIP half messages", 5, self._hold(port, words.half)),
            self._attack("SIP requests", 2, self._flood(port, self._request)),
            self._attack("SIP oversize", 5, self._hold(port, self._oversize)),
            self._attack("SIP garbage", 5, self._hold(port, words.garbage)),
            self._attack("SIP opened and dropped", 20, self._drop(port)),
        ]

    def _attack(self, name: str, per_second: float, act: Callable[[], Awaitable[None]]) -> Attack:
        return Attack(name, per_second, act, self._counts)

    # What one attacker does.

    def _drip(self, port: int, beginning: bytes) -> Callable[[], Awaitable[None]]:
        return partial(self._drip_into, port, beginning)

    async def _drip_into(self, port: int, beginning: bytes) -> None:
        """Say something slowly, until nobody listens."""
        async with self._connection(port) as (reader, writer):
            writer.write(beginning)
            while not reader.at_eof():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRIP):
                        await reader.read(4096)
                writer.write(b"x")
                await writer.drain()

    def _hold(self, port: int, say: Say) -> Callable[[], Awaitable[None]]:
        return partial(self._say_and_hold, port, say)

    async def _say_and_hold(self, port: int, say: Say) -> None:
        """Say one thing, and listen until the server hangs up."""
        async with self._connection(port) as (reader, writer):
            writer.write(say())
            while await reader.read(65_536):
                pass

    def _flood(
        self, port: int, say: Say, context: ssl.SSLContext | None = None
    ) -> Callable[[], Awaitable[None]]:
        return partial(self._say_often, port, say, context)

    async def _say_often(self, port: int, say: Say, context: ssl.SSLContext | None) -> None:
        """Send many requests at once, read what is answered for a while, and leave."""
        async with self._connection(port, context) as (reader, writer):
            writer.writelines(say() for _ in range(REQUESTS))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while await reader.read(65_536):
                        pass

    def _drop(self, port: int) -> Callable[[], Awaitable[None]]:
        return partial(self._connect_and_drop, port)

    async def _connect_and_drop(self, port: int) -> None:
        """Connect, perhaps say a few bytes, and go: politely or with a reset."""
        async with self._connection(port) as (_, writer):
            writer.write(self._words.garbage()[: self._chance.randrange(100)])
            if self._chance.random() < 0.5:
                own: socket.socket = writer.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    @asynccontextmanager
    async def _connection(
        self, port: int, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[Pipe]:
        source = f"127.{self._chance.randrange(32, 48)}.{self._chance.randrange(256)}.1"
        writer = None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(
                    HOST, port, local_addr=(source, 0), ssl=context
                )
                yield reader, writer
        except TimeoutError:
            self._counts["connections held to the end of patience"] += 1
        finally:
            if writer is not None:
                writer.transport.abort() if context else writer.close()

    def _request(self) -> bytes:
        say = self._chance.choice([self._words.probe, self._words.stranger, self._words.login])
        return say("TCP")

    def _oversize(self) -> bytes:
        return self._words.oversize(self._chance.randrange(65 * KIB, 200 * KIB), "TCP")
