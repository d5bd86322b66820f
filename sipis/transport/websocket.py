"""SIP over WebSocket (RFC 7118): one message a frame, subprotocol `sip`, in both directions.

Refuses compression, peers that do not offer the subprotocol, and HTTP redirections: the address
that the network policy passed is the one that is connected to.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import aiohttp
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sipis.errors import TransportError
from sipis.sip.flow import Flow
from sipis.sip.grammar import format_hostport
from sipis.sip.limits import MAX_STREAM_MESSAGE
from sipis.transport.arrivals import Arrival
from sipis.transport.receiver import Receiver
from sipis.transport.streams import HANDSHAKE_TIMEOUT, MOST_UNSENT, Origin, PeerCheck
from sipis.transport.visitor import Visitor, settle

SUBPROTOCOL: Final = "sip"
MOST_WAITING: Final = 1024
"""Messages that wait for a slow reader, besides the octets that may, before it is cut off."""
CLOSE_TIMEOUT: Final = 2.0

_log = structlog.get_logger("transport")

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse[bool]


class WebSocketConnection:
    """One WebSocket: one flow."""

    def __init__(self, ws: Socket, flow: Flow, receiver: Receiver, *, incoming: bool) -> None:
        self.flow = flow
        self.incoming = incoming
        self.last_received = receiver.now()
        self._ws = ws
        self._receiver = receiver
        self._silent_since: float | None = self.last_received if incoming else None
        self._unsent: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING)
        self._waiting_octets = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        """Read and write until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = [group.create_task(self._read()), group.create_task(self._write())]
        finally:
            self._receiver.closed(self)
            await self._ws.close()

    def send(self, data: bytes) -> None:
        """Queue one message; a peer that takes too little is cut off."""
        self._waiting_octets += len(data)
        try:
            self._unsent.put_nowait(data)
        except asyncio.QueueFull:
            self.abort()
        if self._waiting_octets > MOST_UNSENT:
            self.abort()

    def close(self) -> None:
        """Send what waits, then close."""
        try:
            self._unsent.put_nowait(None)
        except asyncio.QueueFull:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        for task in self._tasks:
            task.cancel()

    def overdue(self, now: float) -> bool:
        """Whether the peer opened the connection and then said nothing."""
        return self._silent_since is not None and now - self._silent_since > HANDSHAKE_TIMEOUT

    async def _read(self) -> None:
        try:
            async for message in self._ws:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                self._take(message.data)
        finally:
            self._tasks[1].cancel()

    def _take(self, data: str | bytes) -> None:
        self.last_received = now = self._receiver.now()
        self._silent_since = None
        octets = data.encode() if isinstance(data, str) else data
        if not self._receiver.receive(octets, self.flow, now):
            self.close()
        self._receiver.settle(now)

    async def _write(self) -> None:
        try:
            while (data := await self._unsent.get()) is not None:
                await self._send_frame(data)
                self._waiting_octets -= len(data)
        except ConnectionError:
            pass
        finally:
            self._tasks[0].cancel()

    async def _send_frame(self, data: bytes) -> None:
        """Text where it is UTF-8, binary otherwise (RFC 7118 4.2)."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            await self._ws.send_bytes(data)
        else:
            await self._ws.send_str(text)


class _Request(web.BaseRequest):
    """A request whose answers do not say what they are made with."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


class _Visitor(Visitor):
    """One HTTP connection, until it is upgraded or lost."""

    __slots__ = ()

    def last_answer(self, failure: BaseException | None) -> web.StreamResponse:
        """A bare status: the peer's fault where it cannot be read or went away, else ours."""
        if isinstance(failure, HttpProcessingError | OSError | TransportError):
            return _refusal(400)
        _log.error("request crashed", error=type(failure).__name__)
        return _refusal(500)


class WebSocketListener:
    """The HTTP server behind one ws or wss listener; every path leads to the same place.

    A stranger learns nothing from it: it neither names itself nor repeats what it was sent.
    """

    def __init__(
        self, receiver: Receiver, origin: Callable[[], Origin], context: ssl.SSLContext | None
    ) -> None:
        self._receiver = receiver
        self._origin = origin
        self._context = context
        factory = partial(_Request, loop=asyncio.get_running_loop())
        self._server = web.Server(self._accept, request_factory=factory)

    async def welcome(self, arrival: Arrival) -> None:
        """Bring a connection through TLS and the upgrade; OSError when TLS fails."""
        await _Visitor(self._server, HANDSHAKE_TIMEOUT).come_in(arrival, self._context)

    async def close(self) -> None:
        """End what is open."""
        self._server.pre_shutdown()
        await self._server.shutdown(CLOSE_TIMEOUT)

    async def _accept(self, request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            max_msg_size=MAX_STREAM_MESSAGE,
            timeout=CLOSE_TIMEOUT,
        )
        if not _offers_sip(request) or not ws.can_prepare(request):
            return _refusal(400)
        flow = _flow(self._origin(), request.get_extra_info)
        connection = WebSocketConnection(ws, flow, self._receiver, incoming=True)
        if not self._receiver.opened(connection):
            return _refusal(503)
        await self._serve(connection, ws, request)
        return ws

    async def _serve(
        self, connection: WebSocketConnection, ws: web.WebSocketResponse, request: web.BaseRequest
    ) -> None:
        try:
            await ws.prepare(request)
        except BaseException:
            self._receiver.closed(connection)
            raise
        settle(request)
        await connection.serve()


def _offers_sip(request: web.BaseRequest) -> bool:
    """Asked first, for aiohttp writes what else was offered into its log."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return SUBPROTOCOL in (name.strip() for name in offered.split(","))


def _refusal(status: int) -> web.Response:
    """A bare status, and the end of the connection."""
    answer = web.Response(status=status)
    answer.force_close()
    return answer


class WebSocketClient:
    """Opens WebSockets to IP literals."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._session: aiohttp.ClientSession | None = None

    async def connect(
        self,
        address: tuple[str, int],
        name: str,
        origin: Origin,
        context: ssl.SSLContext | None,
        check: PeerCheck | None,
    ) -> WebSocketConnection:
        """Open one; `name` goes into Host and SNI. TransportError for whatever goes wrong."""
        scheme = "wss" if context else "ws"
        try:
            ws = await self._open().ws_connect(
                f"{scheme}://{format_hostport(*address)}/",
                protocols=(SUBPROTOCOL,),
                headers={"Host": name or format_hostport(*address)},
                ssl=context or True,
                server_hostname=name or None,
                max_msg_size=MAX_STREAM_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
            )
        except (aiohttp.ClientError, OSError) as failed:
            raise TransportError("connection refused or lost") from failed
        return await self._verified(ws, origin, check)

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()

    async def _verified(
        self,
        ws: aiohttp.ClientWebSocketResponse[bool],
        origin: Origin,
        check: PeerCheck | None,
    ) -> WebSocketConnection:
        try:
            if ws.protocol != SUBPROTOCOL:
                raise TransportError("the server does not speak SIP over WebSocket")
            if check is not None:
                check(ws.get_extra_info("ssl_object"))
            flow = _flow(origin, ws.get_extra_info)
            connection = WebSocketConnection(ws, flow, self._receiver, incoming=False)
            if not self._receiver.opened(connection):
                raise TransportError("too many connections")
        except TransportError:
            await ws.close()
            raise
        return connection

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_redirect.append(_refuse_redirection)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent",),
                trace_configs=[tracing],
            )
        return self._session


def _refuse_redirection(*_: object) -> Awaitable[None]:
    raise TransportError("the server redirects")


def _flow(origin: Origin, extra: Callable[[str], object]) -> Flow:
    local, remote = extra("sockname"), extra("peername")
    if not isinstance(local, tuple) or not isinstance(remote, tuple):
        raise TransportError("connection lost")
    return Flow(
        origin.number,
        origin.door,
        origin.transport,
        (local[0], local[1]),
        (remote[0].partition("%")[0], remote[1]),
        origin.listener,
    )
