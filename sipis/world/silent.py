"""A door that opens and says nothing: TCP accepts, TLS never begins.

Refuses to answer. A client that cannot be kept waiting here cannot be kept waiting anywhere.
"""

import asyncio
from typing import cast


class SilentDoor:
    """Accepts connections on an ephemeral port of loopback and keeps them."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._transports: list[asyncio.Transport] = []
        self.port = 0
        self.visited = asyncio.Event()

    async def __aenter__(self) -> "SilentDoor":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Guest(self), "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            transport.abort()
        if self._server is not None:
            self._server.close()

    def enter(self, transport: asyncio.Transport) -> None:
        """Keep a connection open."""
        self._transports.append(transport)
        self.visited.set()


class _Guest(asyncio.Protocol):
    def __init__(self, door: SilentDoor) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.enter(cast(asyncio.Transport, transport))
