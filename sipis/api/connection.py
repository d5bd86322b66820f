"""One HTTP connection: what cannot be read as HTTP gets a problem document, and nothing else.

aiohttp would quote the line that it could not read, to the peer and in the log, beside the peer's
address; a header with an app's secret may be that line. Refuses to tell what it is made with.
"""

import asyncio

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from sipis.api import problems
from sipis.api.problems import Problem
from sipis.transport.quota import Quota
from sipis.transport.visitor import Visitor, settle

_log = structlog.get_logger("api")


class Guests:
    """Who is connected: so many in all, and so many of each source."""

    def __init__(self, most: int, per_source: int) -> None:
        self._most = most
        self._quota = Quota(per_source)
        self._present = 0

    def enter(self, host: str) -> bool:
        """One more from a host (an IP literal); False when there are too many."""
        if self._present >= self._most or not self._quota.take(host):
            return False
        self._present += 1
        return True

    def turn_away(self) -> None:
        """Nobody enters from now on."""
        self._most = 0

    def leave(self, host: str) -> None:
        """One of those who entered has gone."""
        self._present -= 1
        self._quota.give_back(host)


class Connection(Visitor):
    """aiohttp's protocol with our words for what went wrong."""

    __slots__ = ("_admitted", "_guests", "_host")

    def __init__(self, server: web.Server, guests: Guests, patience: float) -> None:
        """`patience` is in seconds, see server.PATIENCE."""
        super().__init__(server, patience)
        self._guests = guests
        self._host = ""
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen, unless there are too many."""
        peer = transport.get_extra_info("peername")
        self._host = peer[0] if peer else ""
        self._admitted = bool(peer) and self._guests.enter(self._host)
        if self._admitted:
            super().connection_made(transport)
        else:
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another one."""
        if self._admitted:
            self._guests.leave(self._host)
        super().connection_lost(exc)

    def last_answer(self, failure: BaseException | None) -> web.StreamResponse:
        """A problem document: the peer's fault where it cannot be read, else ours."""
        if isinstance(failure, HttpProcessingError):
            answer = Problem(problems.INVALID_REQUEST).response()
        else:
            _log.error("request crashed", error=type(failure).__name__)
            answer = Problem(problems.INTERNAL).response()
        mark(answer)
        answer.force_close()
        return answer


@web.middleware
async def hearing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that lets a connection in: the head of a request has come whole."""
    settle(request)
    return await handler(request)


async def marking(_: web.Request, answer: web.StreamResponse) -> None:
    """The signal handler that marks what an application answers."""
    mark(answer)


def mark(answer: web.StreamResponse) -> None:
    """Say who we are and no more, and that nobody may keep the answer."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Server"] = "sipis"
