"""What is no HTTP is refused without repeating it to its sender or to the log."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from sipis.api.server import HttpListener
from sipis.clock import SystemClock
from sipis.config import ApiSettings
from sipis.observe.metrics import Metrics
from tests.support.http import running

SECRET = b"SecretOfAnApp"
Ask = Callable[[bytes], Awaitable[tuple[str, bytes]]]


async def crash(_: web.Request) -> web.Response:
    return "no response"  # type: ignore[return-value]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Say something to a listener; returns head and body of what it says until it closes."""
    app = web.Application()
    app.router.add_get("/crash", crash)
    listener = HttpListener(app, ApiSettings(port=0), "api", SystemClock(), Metrics())

    async def ask(data: bytes) -> tuple[str, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(data)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.decode(), body

    async with running(listener):
        yield ask


@pytest.mark.parametrize(
    "data",
    [
        b"GET /%s\0 HTTP/1.1\r\n\r\n" % SECRET,
        b"GET / HTTP/1.1\r\n%s\r\n\r\n" % SECRET,
        b"GET / HTTP/1.1\r\nAuthorization: Bearer %s\0\r\n\r\n" % SECRET,
        b"GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % (SECRET * 1000),
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n" % SECRET,
        b"OPTIONS sip:%s SIP/2.0\r\n\r\n" % SECRET,
        b"\x16\x03\x01\x02\x00%s\r\n\r\n" % SECRET,
    ],
)
async def test_what_cannot_be_read_is_a_problem_and_is_quoted_nowhere(
    ask: Ask, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head, body = await ask(data)
    assert head.split("\r\n")[0].endswith(" 400 Bad Request")
    assert "\r\nContent-Type: application/problem+json" in head
    assert "\r\nServer: sipis" in head
    assert "aiohttp" not in head
    assert json.loads(body)["type"] == "urn:sipis:problem:invalid-request"
    assert SECRET not in body
    assert caplog.text == ""


async def test_a_fault_of_ours_is_told_from_one_of_the_peer(ask: Ask) -> None:
    head, _ = await ask(b"GET /crash HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert head.startswith("HTTP/1.1 500 ")


async def test_no_answer_names_what_it_is_made_with(ask: Ask) -> None:
    for data in (
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: much\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ):
        head, _ = await ask(data)
        assert "\r\nServer: sipis" in head
