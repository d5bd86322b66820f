"""One HTTP connection: what cannot be read as HTTP gets a problem document, and nothing else.

aiohttp would quote the line that it could not read, to the peer and in the log, beside the peer's
address; a header with an app's secret may be that line. Refuses to tell what it is made with.
"""

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sipis.api import problems
from sipis.api.problems import Problem

_log = structlog.get_logger("api")


class Connection(web.RequestHandler):
    """aiohttp's protocol with our words for what went wrong."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - aiohttp's signature
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it holds what the peer sent
    ) -> web.StreamResponse:
        """The last answer of a connection; ConnectionError when another one has begun."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of another answer is sent")
        if isinstance(exc, HttpProcessingError):
            answer = Problem(problems.INVALID_REQUEST).response()
        else:
            _log.error("request crashed", error=type(exc).__name__)
            answer = Problem(problems.INTERNAL).response()
        mark(answer)
        answer.force_close()
        return answer


async def marking(_: web.Request, answer: web.StreamResponse) -> None:
    """The signal handler that marks what an application answers."""
    mark(answer)


def mark(answer: web.StreamResponse) -> None:
    """Say who we are and no more, and that nobody may keep the answer."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Server"] = "sipis"
