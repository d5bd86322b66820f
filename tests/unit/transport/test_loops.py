"""The same conversations on asyncio's own loop and on uvloop, with real time."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from sipis.clock import SystemClock
from sipis.errors import ConfigError, TransportError
from sipis.sip.events import RequestFailed
from sipis.sip.flow import Door, Transport
from sipis.transport.endpoint import Endpoint
from sipis.transport.flows import Limits
from sipis.transport.networks import NetworkPolicy
from sipis.transport.targets import Listener
from sipis.transport.tls import TlsPolicy, TlsSettings
from tests.support.transport import (
    HALF_MADE,
    HELLO,
    LOOPBACK,
    Authority,
    Inbox,
    Issued,
    Party,
    Stranger,
    build_request,
    counting_entropy,
    running,
    until,
)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on one kind of loop."""

    def run_on(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(coroutine)

    return run_on


@asynccontextmanager
async def pair(
    listener: str, ours: TlsSettings, theirs: TlsSettings, limits: Limits | None = None
) -> AsyncIterator[list[Party]]:
    """A client and a server that answers all with 200."""
    made = [
        Endpoint(
            clock=SystemClock(),
            listeners=[Listener.parse(text, Door.PROVIDER) for text in texts],
            policy=NetworkPolicy(LOOPBACK),
            entropy=counting_entropy(),
            tls=tls,
            limits=limits,
        )
        for texts, tls in (([], ours), ([listener], theirs))
    ]
    async with running(made[0]) as client, running(made[1]) as server:
        server.answer_all(200)
        yield [client, server]


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_request_is_answered_over_every_transport(
    run: Run, transport: Transport, host: str, authority: Authority, server_certificate: Issued
) -> None:
    theirs = TlsSettings(server_certificate.cert_file, server_certificate.key_file)
    ours = TlsSettings(providers={"example.com": TlsPolicy(authority.file)})

    async def converse() -> None:
        async with pair(f"{transport}:{host}:0", ours, theirs) as (client, server):
            flow = await client.endpoint.flow_to(server.target(tls_name="example.com"))
            for _ in range(3):
                inbox = Inbox()
                client.endpoint.send(build_request(), flow, inbox)
                response = (await inbox.response()).response
                assert (response.status, response.via.transport) == (200, transport.via_token)

    run(converse())


def test_a_burst_of_datagrams_is_answered_to_the_last(run: Run) -> None:
    async def burst() -> None:
        async with pair("udp:127.0.0.1:0", TlsSettings(), TlsSettings()) as (client, server):
            flow = await client.endpoint.flow_to(server.target())
            inboxes = [Inbox() for _ in range(200)]
            for inbox in inboxes:
                client.endpoint.send(build_request(), flow, inbox)
            for inbox in inboxes:
                assert (await inbox.response()).response.status == 200

    run(burst())


def test_an_address_as_the_name_of_a_server_is_verified_but_not_shown(
    run: Run, authority: Authority, server_certificate: Issued
) -> None:
    theirs = TlsSettings(server_certificate.cert_file, server_certificate.key_file)
    ours = TlsSettings(providers={"127.0.0.1": TlsPolicy(authority.file)})

    async def connect() -> None:
        async with pair("tls:127.0.0.1:0", ours, theirs) as (client, server):
            assert await client.endpoint.flow_to(server.target(tls_name="127.0.0.1"))

    run(connect())


def test_a_wrong_certificate_leaves_no_connection(run: Run, server_certificate: Issued) -> None:
    theirs = TlsSettings(server_certificate.cert_file, server_certificate.key_file)

    async def connect() -> None:
        async with pair("tls:127.0.0.1:0", TlsSettings(), theirs) as (client, server):
            with pytest.raises(TransportError):
                await client.endpoint.flow_to(server.target(tls_name="example.com"))
            assert len(client.endpoint._connections._table) == 0

    run(connect())


def test_a_server_that_stops_fails_what_it_owes(run: Run) -> None:
    async def fail() -> None:
        async with pair("tcp:127.0.0.1:0", TlsSettings(), TlsSettings()) as (client, server):
            server.endpoint.on_request[Door.PROVIDER] = server.provider
            inbox = Inbox()
            flow = await client.endpoint.flow_to(server.target())
            client.endpoint.send(build_request(), flow, inbox)
            await server.provider.request()
            await server.endpoint.stop()
            assert isinstance(await inbox.next(), RequestFailed)
            assert not client.endpoint.is_open(flow)

    run(fail())


@pytest.mark.parametrize("transport", list(Transport))
def test_a_listener_in_use_is_named(
    run: Run, transport: Transport, server_certificate: Issued
) -> None:
    tls = TlsSettings(server_certificate.cert_file, server_certificate.key_file)

    async def collide() -> None:
        async with pair(f"{transport}:127.0.0.1:0", TlsSettings(), tls) as (_, server):
            taken = f"{transport}:127.0.0.1:{server.endpoint.listening[0].port}"
            with pytest.raises(ConfigError, match=taken):
                async with pair(taken, TlsSettings(), tls):
                    pass

    run(collide())


def test_a_busy_loop_takes_many_connections_in_one_turn(run: Run) -> None:
    async def conversation() -> None:
        async with pair("tcp:127.0.0.1:0", TlsSettings(), TlsSettings()) as (_, server):
            bound = server.endpoint.listening[0]
            people = [socket.create_connection((bound.host, bound.port)) for _ in range(200)]
            turns = 0
            while len(server.endpoint._connections._table) < len(people):
                await asyncio.sleep(0)
                turns += 1
            assert turns < len(people) / 4
            for one in people:
                one.close()

    run(conversation())


@pytest.mark.parametrize(("listener", "said"), HALF_MADE)
def test_a_phone_comes_in_while_strangers_hold_every_place(
    run: Run, listener: str, said: bytes, authority: Authority, server_certificate: Issued
) -> None:
    theirs = TlsSettings(server_certificate.cert_file, server_certificate.key_file)
    ours = TlsSettings(providers={"example.com": TlsPolicy(authority.file)})
    limits = Limits(arrivals=40, arrivals_per_source=4)

    async def call() -> None:
        async with pair(listener, ours, theirs, limits) as (client, server):
            strangers = [
                Stranger(server.address, f"127.0.1.{1 + n // 5}", said) for n in range(100)
            ]
            held = server.endpoint._connections._arrivals
            await until(lambda: sum(one.has_been_closed() for one in strangers) == 60)
            assert len(held) == 40
            flow = await client.endpoint.flow_to(server.target(tls_name="example.com"))
            inbox = Inbox()
            client.endpoint.send(build_request(), flow, inbox)
            assert (await inbox.response()).response.status == 200
            assert len(held) == 39
            for one in strangers:
                one.close()

    run(call())


@pytest.mark.parametrize("transport", [it for it in Transport if it.reliable])
def test_a_stop_at_any_moment_hangs_up_on_who_is_on_the_way_in(
    run: Run, transport: Transport, server_certificate: Issued
) -> None:
    tls = TlsSettings(server_certificate.cert_file, server_certificate.key_file)

    async def stop_after(turns: int) -> None:
        async with pair(f"{transport}:127.0.0.1:0", TlsSettings(), tls) as (_, server):
            with Stranger(server.address, "127.0.0.1", HELLO) as stranger:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await server.endpoint.stop()
                assert await stranger.is_closed()

    for turns in range(12):
        run(stop_after(turns))
