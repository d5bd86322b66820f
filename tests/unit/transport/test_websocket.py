"""SIP over WebSocket, toward us and from us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sipis.clock import ManualClock
from sipis.errors import TransportError
from sipis.sip.events import RequestFailed
from sipis.sip.flow import Transport
from sipis.sip.message import Response, parse_message
from sipis.transport import websocket
from sipis.transport.flows import Limits
from sipis.transport.streams import MOST_UNSENT
from sipis.transport.targets import Target
from sipis.transport.throttle import Rate
from sipis.transport.tls import TlsPolicy, TlsSettings
from tests.support.transport import PATIENCE, Authority, Inbox, Issued, Party, build_request

WS, WSS = "ws:127.0.0.1:0", "wss:127.0.0.1:0"
Start = Callable[..., Awaitable[Party]]


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def url(party: Party) -> str:
    bound = party.endpoint.listening[0]
    return f"ws://{bound.host}:{bound.port}/any/path"


def options() -> bytes:
    via = "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK1;rport"
    request = build_request("OPTIONS", Via=via)
    request.headers.remove("Content-Length")
    return request.to_bytes()


@pytest.mark.parametrize("binary", [False, True])
async def test_a_message_is_a_frame_of_text_or_of_octets(
    start: Start, browser: aiohttp.ClientSession, *, binary: bool
) -> None:
    ours = await start(WS)
    ours.answer_all(200)
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        assert ws.protocol == "sip"
        if binary:
            await ws.send_bytes(options())
        else:
            await ws.send_str(options().decode())
        answer = parse_message((await ws.receive_str(timeout=PATIENCE)).encode())
        assert isinstance(answer, Response)
        assert (answer.status, answer.via.transport) == (200, "WS")


async def test_a_client_without_the_subprotocol_is_turned_away(
    start: Start, browser: aiohttp.ClientSession
) -> None:
    ours = await start(WS)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(url(ours))
    assert refused.value.status == 400


async def test_plain_http_is_turned_away(start: Start, browser: aiohttp.ClientSession) -> None:
    ours = await start(WS)
    async with browser.get(url(ours).replace("ws:", "http:")) as answer:
        assert answer.status == 400


UPGRADE = (
    b"GET /Secret HTTP/1.1\r\nHost: Secret\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: sip\r\n\r\n"
)
TURNED_AWAY = {
    "a page": b"GET /Secret HTTP/1.1\r\nHost: Secret\r\n\r\n",
    "a form": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nSecret!",
    "another method": UPGRADE.replace(b"GET /Secret", b"SECRET /"),
    "another upgrade": UPGRADE.replace(b"websocket", b"Secret"),
    "no upgrade": UPGRADE.replace(b"Connection: Upgrade", b"Connection: Secret"),
    "another version": UPGRADE.replace(b"13", b"Secret"),
    "a broken key": UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"Secret"),
    "another subprotocol": UPGRADE.replace(b": sip", b": Secret"),
    "no HTTP": b"OPTIONS sip:Secret SIP/2.0\r\n\r\n",
    "half of TLS": b"\x16\x03\x01\x02\x00Secret\r\n\r\n",
    "a broken header": b"GET / HTTP/1.1\r\nSecret\r\n\r\n",
    "a broken line": b"GET /Secret\0 HTTP/1.1\r\n\r\n",
    "an endless line": b"GET /" + b"Secret" * 5000 + b" HTTP/1.1\r\n\r\n",
    "a wrong expectation": b"GET / HTTP/1.1\r\nHost: a\r\nExpect: Secret\r\n\r\n",
}


async def whole_answer(party: Party, said: bytes) -> bytes:
    """What a listener says until it closes."""
    bound = party.endpoint.listening[0]
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    writer.write(said)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("request_", TURNED_AWAY.values(), ids=TURNED_AWAY)
async def test_who_is_turned_away_learns_nothing_and_is_quoted_nowhere(
    start: Start, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ours = await start(WS)
    answer = await whole_answer(ours, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] in {b"HTTP/1.1 400 Bad Request", b"HTTP/1.0 400 Bad Request"}
    assert body == b""
    for word in (b"secret", b"server:", b"aiohttp", b"python", b"sip"):
        assert word not in answer.lower()
    assert caplog.text == ""


async def test_an_upgrade_does_not_say_what_it_was_made_with(start: Start) -> None:
    ours = await start(WS)
    bound = ours.endpoint.listening[0]
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    writer.write(UPGRADE)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nserver:" not in head.lower()


async def test_a_fault_of_ours_is_logged_by_its_type_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours = await start(WS)

    def crash(*_: object, incoming: bool) -> None:
        raise ValueError("Secret")

    monkeypatch.setattr(websocket, "WebSocketConnection", crash)
    with capture_logs() as lines:
        answer = await whole_answer(ours, UPGRADE)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert lines == [{"event": "request crashed", "error": "ValueError", "log_level": "error"}]
    assert caplog.text == ""


async def test_one_source_gets_only_so_many_websockets(
    start: Start, browser: aiohttp.ClientSession
) -> None:
    ours = await start(WS, limits=Limits(per_source=1))
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        await ws.send_str("\r\n\r\n")
        assert await ws.receive_str(timeout=PATIENCE) == "\r\n"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(url(ours), protocols=["sip"])
        assert refused.value.status == 503


async def test_a_stranger_who_sends_too_many_messages_is_hung_up_on(
    start: Start, browser: aiohttp.ClientSession
) -> None:
    ours = await start(WS, limits=Limits(rate=Rate(0, 3)))
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        for _ in range(4):
            await ws.send_str(options().decode().replace("z9hG4bK1", f"z9hG4bK{uuid4().hex}"))
        message = await ws.receive(timeout=PATIENCE)
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    assert len(ours.provider.events) == 3


async def test_a_frame_beyond_the_limit_ends_the_connection(
    start: Start, browser: aiohttp.ClientSession
) -> None:
    ours = await start(WS)
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        await ws.send_bytes(b"x" * 70_000)
        assert (await ws.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.CLOSE


async def test_a_browser_that_says_nothing_is_cut_off(
    start: Start, browser: aiohttp.ClientSession, clock: ManualClock
) -> None:
    ours = await start(WS)
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        await clock.advance(13)
        ended = await ws.receive(timeout=PATIENCE)
        assert ended.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_connection_without_a_handshake_is_cut_off(
    start: Start, clock: ManualClock
) -> None:
    ours = await start(WS)
    bound = ours.endpoint.listening[0]
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    await writer.drain()
    async with asyncio.timeout(PATIENCE):
        server = ours.endpoint._connections._web_listeners[0]._server
        while not server.connections:  # noqa: ASYNC110 - accepting has no event of its own
            await asyncio.sleep(0)
    await clock.advance(15)
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


async def test_a_browser_that_reads_nothing_is_cut_off(
    start: Start, browser: aiohttp.ClientSession
) -> None:
    ours = await start(WS)
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        await ws.send_bytes(options())
        flow = (await ours.provider.request()).flow
        big = build_request("MESSAGE")
        big.body = b"\xff" * 60_000
        inbox = Inbox()
        for _ in range(MOST_UNSENT // 60_000):
            ours.endpoint.send(big, flow, inbox)
        assert ours.endpoint.is_open(flow)
        ours.endpoint.send(big, flow, inbox)
        assert isinstance(await inbox.next(), RequestFailed)
        assert not ours.endpoint.is_open(flow)


async def test_text_that_is_no_utf_8_leaves_as_octets(
    start: Start, browser: aiohttp.ClientSession
) -> None:
    ours = await start(WS)
    async with browser.ws_connect(url(ours), protocols=["sip"]) as ws:
        await ws.send_bytes(options())
        flow = (await ours.provider.request()).flow
        message = build_request("MESSAGE")
        message.body = b"\xff\xfe"
        ours.endpoint.send(message, flow, Inbox())
        assert (await ws.receive_bytes(timeout=PATIENCE)).endswith(b"\r\n\r\n\xff\xfe")


async def test_we_open_websockets_to_servers_and_share_them(start: Start) -> None:
    ours, theirs = await start(), await start(WS)
    theirs.answer_all(200)
    flow = await ours.endpoint.flow_to(theirs.target())
    assert await ours.endpoint.flow_to(theirs.target()) == flow
    inbox = Inbox()
    ours.endpoint.send(build_request(), flow, inbox)
    event = await inbox.response()
    assert (event.response.via.transport, event.flow) == ("WS", flow)
    ours.endpoint.close(flow)
    async with asyncio.timeout(PATIENCE):
        while ours.endpoint.is_open(flow):  # noqa: ASYNC110 - closing has no event of its own
            await asyncio.sleep(0)


async def test_a_secure_websocket_is_checked_like_tls(
    start: Start, authority: Authority, server_certificate: Issued
) -> None:
    tls = TlsSettings(server_certificate.cert_file, server_certificate.key_file)
    theirs = await start(WSS, tls=tls)
    policy = TlsPolicy(authority.file)
    providers = {"example.com": policy, "other.example": policy}
    ours = await start(tls=TlsSettings(providers=providers))
    assert (await ours.endpoint.flow_to(theirs.target(tls_name="example.com"))).transport.secure
    with pytest.raises(TransportError, match="another domain"):
        await ours.endpoint.flow_to(theirs.target(tls_name="other.example"))


async def test_a_server_that_does_not_speak_sip_is_left(start: Start) -> None:
    async def plain(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        return ws

    ours = await start()
    with pytest.raises(TransportError):
        await _connect_to(ours, plain)


async def test_a_redirection_is_not_followed(start: Start) -> None:
    theirs = await start(WS)

    async def redirect(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": url(theirs).replace("ws:", "http:")})

    ours = await start()
    with pytest.raises(TransportError):
        await _connect_to(ours, redirect)


async def _connect_to(
    party: Party, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
) -> None:
    """Connect to an HTTP server with this handler."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        await party.endpoint.flow_to(Target(Transport.WS, host, port))
    finally:
        await runner.cleanup()
