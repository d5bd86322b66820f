"""One HTTP connection on its way in: through TLS, and until it has said what it wants.

Refuses to be let in for a handshake alone: half a request is no visitor yet.
"""

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import Final

from aiohttp import web

from sipis.transport.acceptor import hand_over
from sipis.transport.arrivals import Arrival

LINGERING: Final = 2.0
"""Seconds for the rest of a body that nobody wants."""


class Visitor(web.RequestHandler, ABC):
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

    @abstractmethod
    def last_answer(self, failure: BaseException | None) -> web.StreamResponse:
        """What is said after a request that could not be read or handled."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - aiohttp's signature
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what the peer sent
    ) -> web.StreamResponse:
        """The last answer of a connection; ConnectionError when another one has begun."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of another answer is sent")
        return self.last_answer(exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing will come of it."""
        super().connection_lost(exc)
        self.settled.set()


def settle(request: web.BaseRequest) -> None:
    """The connection of a request is in."""
    if isinstance(request.protocol, Visitor):
        request.protocol.settled.set()
