"""The edge, over a real socket: every failure is a problem document, nothing leaks."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession, web
from pydantic import BaseModel, ConfigDict
from structlog.testing import capture_logs

from sipis.api import problems
from sipis.api.edge import body_of, edge
from sipis.api.limits import RateLimit
from sipis.api.problems import Problem
from sipis.clock import ManualClock
from sipis.errors import FieldError, RefusedAddress, StoreError
from sipis.observe.metrics import Metrics


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


Fail = Callable[[], Exception]


async def failing(request: web.Request) -> web.Response:
    fail: Fail = request.app[FAIL]
    raise fail()


async def reading(request: web.Request) -> web.Response:
    body = await body_of(request, Body)
    return web.json_response({"size": body.size})


FAIL: web.AppKey[Fail] = web.AppKey("fail")


class Client:
    def __init__(self, app: web.Application, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.base = ""
        self.session = ClientSession()

    async def ask(
        self, path: str, data: bytes = b"{}", method: str = "POST", kind: str = "application/json"
    ) -> tuple[int, dict[str, object], str]:
        headers = {"Content-Type": kind}
        async with self.session.request(
            method, self.base + path, data=data, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None), answer.content_type


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    metrics = Metrics()
    limit = RateLimit(ManualClock(), per_minute=30)
    app = web.Application(middlewares=[edge(limit, metrics)], client_max_size=200)
    app[FAIL] = lambda: RuntimeError("marker-text")
    app.router.add_post("/fail", failing, name="fail")
    app.router.add_post("/read", reading, name="read")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = Client(app, metrics)
    client.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield client
    await client.session.close()
    await runner.cleanup()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("fail", "status", "name"),
    [
        (lambda: FieldError("account.aor", "is wrong"), 422, "invalid-field"),
        (lambda: RefusedAddress("inside"), 422, "refused-address"),
        (lambda: StoreError("full"), 503, "unavailable"),
        (lambda: Problem(problems.CONFLICT), 409, "conflict"),
        (lambda: RuntimeError("marker-text"), 500, "internal"),
    ],
)
async def test_every_error_becomes_its_problem_document(
    client: Client, fail: Fail, status: int, name: str
) -> None:
    client.app._state[FAIL] = fail
    got, body, kind = await client.ask("/fail")
    assert (got, kind) == (status, "application/problem+json")
    assert body["type"] == f"urn:sipis:problem:{name}"
    assert "marker-text" not in str(body)


@pytest.mark.parametrize(
    ("data", "status", "name", "field"),
    [
        (b"{", 400, "invalid-json", None),
        (b"[]", 400, "invalid-json", None),
        (b"\xff", 400, "invalid-json", None),
        (b'{"size": ' + b"[" * 50 + b"]" * 50 + b"}", 400, "invalid-json", None),
        (b'{"size": 1, "size": 2}', 400, "invalid-json", None),
        (b'{"size": 1, "more": 2}', 422, "unknown-field", "more"),
        (b'{"size": "many"}', 422, "invalid-field", "size"),
        (b"{}", 422, "invalid-field", "size"),
        (b'{"size": ' + b" " * 300 + b"1}", 413, "too-large", None),
    ],
)
async def test_a_bad_body_is_refused_with_the_name_of_its_field(
    client: Client, data: bytes, status: int, name: str, field: str | None
) -> None:
    got, body, _ = await client.ask("/read", data)
    assert (got, body["type"], body.get("field")) == (status, f"urn:sipis:problem:{name}", field)


@pytest.mark.parametrize(
    ("head", "body"),
    [(b"Content-Encoding: gzip\r\nContent-Length: 7\r\n", b"no gzip"),
     (b"Content-Length: 70\r\n", b'{"size"'), (b"Transfer-Encoding: chunked\r\n", b"7\r\n{")],
)  # fmt: skip
async def test_a_body_that_its_sender_spoils_or_breaks_off_is_no_fault_of_ours(
    client: Client, monkeypatch: pytest.MonkeyPatch, head: bytes, body: bytes
) -> None:
    port, counted = int(client.base.rpartition(":")[2]), asyncio.Queue[str]()

    def count(_: Metrics, name: str, **labels: str) -> None:
        counted.put_nowait(f"{name} {labels['status']}")

    monkeypatch.setattr(Metrics, "count", count)
    start = b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start + head + b"\r\n" + body)
        await writer.drain()
        writer.close()
        async with asyncio.timeout(10):
            assert await counted.get() == "api_requests_total 400"
    assert logs == []


async def test_a_good_body_is_read(client: Client) -> None:
    assert (await client.ask("/read", b'{"size": 7}'))[1] == {"size": 7}


async def test_other_media_types_are_refused(client: Client) -> None:
    assert (await client.ask("/read", kind="text/plain"))[0] == 415


async def test_unknown_paths_and_methods_get_problem_documents(client: Client) -> None:
    assert (await client.ask("/nowhere"))[1]["type"] == "urn:sipis:problem:not-found"
    assert (await client.ask("/read", method="PUT"))[0] == 405


async def test_a_source_that_asks_too_often_is_told_when_to_come_back(client: Client) -> None:
    answers = [await client.ask("/read", b'{"size": 7}') for _ in range(31)]
    assert answers[-1][0] == 429
    assert {status for status, _, _ in answers[:-1]} == {200}


async def test_requests_are_counted_by_operation_and_status(client: Client) -> None:
    await client.ask("/read", b'{"size": 7}')
    text = client.metrics.exposition().decode()
    assert 'sipis_api_requests_total{operation="read",status="200"} 1.0' in text
