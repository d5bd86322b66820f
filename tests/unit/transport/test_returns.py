"""Responses that outlive the connection of their request (RFC 3261 18.2.2)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sipis.sip.events import RequestReceived
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import response_to
from sipis.transport.networks import NetworkPolicy
from sipis.transport.returns import Returns
from tests.support.transport import PATIENCE, Party, build_request

_numbers = itertools.count(1)
TCP = "tcp:127.0.0.1:0"
Start = Callable[..., Awaitable[Party]]


class Proxy(asyncio.Protocol):
    """A provider's proxy: it takes connections, and keeps what comes over them."""

    def __init__(self) -> None:
        self.port = 0
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        self._taken: list[asyncio.BaseTransport] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._taken.append(transport)

    def data_received(self, data: bytes) -> None:
        self.came.put_nowait(data)

    async def next(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.came.get()

    def hang_up(self) -> None:
        for transport in self._taken:
            transport.close()


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    server = await asyncio.get_running_loop().create_server(lambda: made, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.hang_up()


async def asked_and_hung_up(ours: Party, port: int, place: int = 0) -> RequestReceived:
    """A request over a connection that is gone when it is to be answered."""
    bound = ours.endpoint.listening[place]
    _, writer = await asyncio.open_connection(bound.host, bound.port)
    closed = asyncio.Event()
    ours.endpoint.on_flow_closed.append(lambda _: closed.set())
    via = f"SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bKlost{next(_numbers)}"
    writer.write(build_request("INVITE", Via=via).to_bytes())
    inbox = ours.provider if bound.door is Door.PROVIDER else ours.app
    event = await inbox.request()
    writer.transport.abort()
    async with asyncio.timeout(PATIENCE):
        await closed.wait()
    return event


def answer(ours: Party, event: RequestReceived) -> None:
    assert event.transaction is not None
    ours.endpoint.respond(event.transaction, response_to(event.request, 200, to_tag="t"))


async def test_an_answer_finds_the_proxy_at_the_port_of_its_via(start: Start) -> None:
    ours = await start(TCP)
    async with proxy() as theirs:
        answer(ours, await asked_and_hung_up(ours, theirs.port))
        response = await theirs.next()
    assert response.startswith(b"SIP/2.0 200 ")
    assert b"branch=z9hG4bKlost" in response


async def test_a_connection_that_the_proxy_has_opened_anew_is_taken(start: Start) -> None:
    ours = await start(TCP)
    async with proxy() as theirs:
        event = await asked_and_hung_up(ours, theirs.port)
        bound = ours.endpoint.listening[0]
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        writer.write(
            build_request("OPTIONS", Via="SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK2").to_bytes()
        )
        await ours.provider.request()
        answer(ours, event)
        async with asyncio.timeout(PATIENCE):
            assert b"SIP/2.0 200 " in await reader.readuntil(b"\r\n\r\n")
        assert theirs.came.empty()
        writer.transport.abort()


async def test_where_nobody_listens_the_answer_is_lost_and_nothing_else(start: Start) -> None:
    ours = await start(TCP)
    async with proxy() as gone:
        pass
    answer(ours, await asked_and_hung_up(ours, gone.port))
    async with proxy() as theirs:
        answer(ours, await asked_and_hung_up(ours, theirs.port))
        assert (await theirs.next()).startswith(b"SIP/2.0 200 ")


async def test_a_port_that_is_never_talked_to_is_not_connected_to(start: Start) -> None:
    async with proxy() as theirs:
        ours = await start(TCP)
        event = await asked_and_hung_up(ours, theirs.port)
        ours.endpoint._policy = NetworkPolicy()
        answer(ours, event)
        ours.endpoint._policy = NetworkPolicy(("127.0.0.0/8",))
        answer(ours, await asked_and_hung_up(ours, theirs.port))
        await theirs.next()
        assert theirs.came.empty()


class Ways:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def another(self, flow: Flow) -> Flow | None:
        self.asked.append("another")
        return None

    async def connect_to(self, flow: Flow, port: int) -> Flow:
        self.asked.append("connect")
        return flow

    def send_over(self, data: bytes, flow: Flow) -> None:
        self.asked.append("send")


@pytest.mark.parametrize(
    ("door", "transport", "data", "asked"),
    [
        (Door.APP, Transport.TCP, b"SIP/2.0 200 OK\r\n", []),
        (Door.PROVIDER, Transport.TCP, b"BYE sip:x SIP/2.0\r\n", []),
        (Door.PROVIDER, Transport.TLS, b"SIP/2.0 200 OK\r\n", ["another"]),
        (Door.PROVIDER, Transport.TCP, b"SIP/2.0 200 OK\r\n", ["another", "spawned"]),
    ],
)
async def test_only_answers_to_providers_are_brought_back_and_only_over_tcp_by_a_connection_of_ours(
    door: Door, transport: Transport, data: bytes, asked: list[str]
) -> None:
    ways = Ways()

    def spawn(_: str, job: "object") -> bool:
        job.close()  # type: ignore[attr-defined]
        ways.asked.append("spawned")
        return True

    returns = Returns(ways, wanted=lambda flow: flow.door is Door.PROVIDER, spawn=spawn)
    returns.bring(data, Flow(1, door, transport, ("192.0.2.1", 5060), ("192.0.2.2", 40_000), ""))
    assert ways.asked == asked
