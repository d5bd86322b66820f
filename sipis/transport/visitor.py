"""One HTTP connection on its way in: through TLS, and until it has said what it wants.

Refuses to be let in for a handshake alone: half a request is no visitor yet.
"""

import asyncio
import ssl
from typing import Final

from aiohttp import web

from sipis.transport.acceptor import hand_over
from sipis.transport.arrivals import Arrival

LINGERING: Final = 2.0
"""Seconds for the rest of a body that nobody wants."""


class Visitor(web.RequestHandler):
    """aiohttp's protocol, and whether its connection is still on its way in."""

    __slots__ = ("settled",)

    def __init__(self, server: web.Server, patience: float) -> None:
        """`patience` are the seconds for the next request to come whole."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=patience,
            lingering_time=LINGERING,
        )
        self.settled = asyncio.Event()

    async def come_in(self, arrival: Arrival, context: ssl.SSLContext | None) -> None:
        """Return when it is settled what becomes of the connection; cancellation ends it.

        OSError when the TLS handshake fails.
        """
        try:
            await hand_over(arrival, lambda: self, context)
            await self.settled.wait()
        except asyncio.CancelledError:
            self.force_close()
            raise

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing will come of it."""
        super().connection_lost(exc)
        self.settled.set()


def settle(request: web.BaseRequest) -> None:
    """The connection of a request is in."""
    if isinstance(request.protocol, Visitor):
        request.protocol.settled.set()
