"""Overwrites what the event loop's receive buffer keeps of a request.

uvloop reads all streams into one buffer of the process. Whatever came last, an app's password
perhaps, stays there until as many bytes come again, which may be days. So after each request as
many zeros as any request may have are sent through a socket pair, and read by the same loop.

Refuses to wait: a rinse that is still on its way does for the next one as well.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

ZEROS: Final = bytes(64 * 1024)
"""More than the longest body with its headers."""


class Rinse:
    """A socket pair to ourselves."""

    def __init__(self) -> None:
        self._near: socket.socket | None = None
        self._transport: asyncio.BaseTransport | None = None

    async def open(self) -> None:
        """Have the loop read the far end, from now until close()."""
        self._near, far = socket.socketpair()
        for end in (self._near, far):
            end.setblocking(False)  # noqa: FBT003 - the name of the method says it
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(asyncio.Protocol, sock=far)

    def __call__(self) -> None:
        """Overwrite what was received last, in the loop's next turn."""
        if self._near is not None:
            with suppress(BlockingIOError):
                self._near.send(ZEROS)

    def close(self) -> None:
        """Let go of both ends."""
        if self._transport is not None:
            self._transport.close()
        if self._near is not None:
            self._near.close()
        self._near = None


def rinsing(rinse: Rinse) -> Middleware:
    """The middleware that rinses after each request."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        finally:
            rinse()

    return guard
