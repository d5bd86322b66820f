"""The edge: limits before work, and every error turned into a problem document.

Refuses to let an exception out: what is unknown becomes `internal`, logged by its type alone.
"""

import asyncio
import json
from typing import TypeVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ValidationError

from sipis.api import problems
from sipis.api.limits import RateLimit, Source, peer
from sipis.api.problems import Problem
from sipis.errors import FieldError, RefusedAddress, SipisError
from sipis.observe.metrics import Metrics

Model = TypeVar("Model", bound=BaseModel)
DEEPEST_JSON = 16
BODY_TIMEOUT = 10.0
"""Seconds in which a whole body must have come."""

_log = structlog.get_logger("api")


def edge(limit: RateLimit, metrics: Metrics, source: Source = peer) -> Middleware:
    """The middleware that stands in front of every handler; `source` tells whom to limit."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await _answer(request, handler, limit.wait_for(source(request)))
        operation = request.match_info.route.name or "none"
        metrics.count("api_requests_total", operation=operation, status=str(answer.status))
        return answer

    return guard


async def _answer(request: web.Request, handler: Handler, wait: float) -> web.StreamResponse:
    try:
        if wait:
            raise Problem(problems.TOO_MANY, retry_after=int(wait) + 1)
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as refused:
        return _of_http(refused).response()
    except FieldError as wrong:
        return Problem(problems.INVALID_FIELD, wrong.problem, wrong.field).response()
    except RefusedAddress as refused:
        return Problem(problems.REFUSED_ADDRESS, field=refused.field).response()
    except SipisError as failed:
        _log.warning("request failed", error=type(failed).__name__)
        return Problem(problems.UNAVAILABLE, retry_after=5).response()
    except Exception as crash:  # the edge is where every crash must stop
        _log.error("request crashed", error=type(crash).__name__)
        return Problem(problems.INTERNAL).response()


def _of_http(refused: web.HTTPException) -> Problem:
    kinds = {404: problems.NOT_FOUND, 405: problems.METHOD_NOT_ALLOWED, 413: problems.TOO_LARGE}
    kind = kinds.get(refused.status, problems.INVALID_JSON)
    allow = refused.headers.get("Allow")
    return Problem(kind, headers={"Allow": allow} if allow else {})


def answer(model: BaseModel, status: int = 200) -> web.Response:
    """A model as the JSON body of an answer; what is unset stays out."""
    text = model.model_dump_json(by_alias=True, exclude_none=True)
    return web.Response(text=text, status=status, content_type="application/json")


async def body_of(request: web.Request, model: type[Model]) -> Model:
    """Read and check a JSON body; every failure is a Problem that names the field."""
    if request.content_type != "application/json":
        raise Problem(problems.UNSUPPORTED_MEDIA)
    body = await _whole_body(request)
    try:
        values = _parsed(body)
    finally:
        body[:] = bytes(len(body))
    try:
        return model.model_validate(values)
    except ValidationError as wrong:
        raise _first_problem(wrong) from None


async def optional_body_of(request: web.Request, model: type[Model]) -> Model:
    """The same, where an absent body stands for an empty object."""
    if not request.can_read_body:
        return model.model_validate({})
    return await body_of(request, model)


async def _whole_body(request: web.Request) -> bytearray:
    """The body, for the caller to overwrite; the request itself keeps none of it.

    (request.read() would: the password would stay until the connection or the garbage goes.)
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > request.client_max_size:
                    raise Problem(problems.TOO_LARGE)
    except TimeoutError:
        raise Problem(problems.TOO_SLOW) from None
    except (web.RequestPayloadError, ConnectionError):
        raise Problem(problems.INVALID_JSON, "the body is not what its headers say") from None
    return body


def _parsed(data: bytearray) -> object:
    try:
        values: object = json.loads(data, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise Problem(problems.INVALID_JSON) from None
    if not isinstance(values, dict):
        raise Problem(problems.INVALID_JSON, "the body must be a JSON object")
    if _depth(values) > DEEPEST_JSON:
        raise Problem(problems.INVALID_JSON, "the body is nested too deeply")
    return values


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of the body; which of two values under one name is meant, nobody can tell."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise Problem(problems.INVALID_JSON, "an object has one name twice")
    return values


def _depth(value: object, level: int = 1) -> int:
    if level > DEEPEST_JSON or not isinstance(value, dict | list):
        return level
    children = value.values() if isinstance(value, dict) else value
    return max((_depth(child, level + 1) for child in children), default=level)


def _first_problem(wrong: ValidationError) -> Problem:
    first = wrong.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    kind = problems.UNKNOWN_FIELD if first["type"] == "extra_forbidden" else problems.INVALID_FIELD
    return Problem(kind, first["msg"].removeprefix("Value error, "), where)
