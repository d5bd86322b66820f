"""Connections that get stuck on their way in: half a TLS handshake, half an upgrade."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from sipis.clock import ManualClock
from sipis.transport.arrivals import ARRIVAL_TIMEOUT, Arrival, Arrivals
from sipis.transport.flows import Limits
from sipis.transport.tls import TlsPolicy, TlsSettings
from tests.support.transport import (
    HALF_MADE,
    Authority,
    Inbox,
    Issued,
    Party,
    Stranger,
    build_request,
    until,
)

Start = Callable[..., Awaitable[Party]]
Connect = Callable[..., Stranger]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections from any address of loopback that say something and then nothing more."""
    with ExitStack() as stack:
        yield lambda *how, **more: stack.enter_context(Stranger(*how, **more))


@pytest.fixture
def start(start: Start, server_certificate: Issued) -> Start:
    """Starts endpoints that have a certificate."""
    tls = TlsSettings(server_certificate.cert_file, server_certificate.key_file)
    return partial(start, tls=tls)


def under_way(party: Party) -> int:
    return len(party.endpoint._connections._arrivals)


def refused(party: Party, short: str) -> float | None:
    """What is counted of those who were hung up on."""
    registry, labels = party.endpoint._metrics.registry, {"entrance": "sip", "short": short}
    return registry.get_sample_value("sipis_arrivals_refused_total", labels)


@pytest.mark.parametrize(("listener", "said"), HALF_MADE)
async def test_one_source_holds_only_so_many_that_are_half_made(
    start: Start, connect: Connect, listener: str, said: bytes
) -> None:
    ours = await start(listener, limits=Limits(arrivals_per_source=3))
    strangers = [connect(ours.address, "127.0.0.2", said) for _ in range(5)]
    assert [await one.is_closed() for one in strangers[3:]] == [True, True]
    other = connect(ours.address, "127.0.0.3", said)
    await until(lambda: under_way(ours) == 4)
    assert refused(ours, "share") == 2
    assert not any(one.has_been_closed() for one in [*strangers[:3], other])


@pytest.mark.parametrize(("listener", "said"), HALF_MADE)
async def test_of_too_many_in_all_the_oldest_makes_room(
    start: Start, connect: Connect, listener: str, said: bytes
) -> None:
    ours = await start(listener, limits=Limits(arrivals=3))
    strangers = [connect(ours.address, f"127.0.0.{n}", said) for n in range(2, 7)]
    assert [await one.is_closed() for one in strangers[:2]] == [True, True]
    assert under_way(ours) == 3
    assert refused(ours, "places") == 2
    assert not any(one.has_been_closed() for one in strangers[2:])


@pytest.mark.parametrize(("listener", "said"), HALF_MADE)
async def test_what_stays_half_made_is_ended_in_time(
    start: Start, connect: Connect, clock: ManualClock, listener: str, said: bytes
) -> None:
    ours = await start(listener)
    stranger = connect(ours.address, "127.0.0.2", said)
    await until(lambda: under_way(ours) == 1)
    await clock.advance(ARRIVAL_TIMEOUT - 1)
    assert under_way(ours) == 1
    await clock.advance(1)
    assert await stranger.is_closed()
    await until(lambda: under_way(ours) == 0)
    assert refused(ours, "time") == 1


@pytest.mark.parametrize(("listener", "said"), HALF_MADE)
async def test_who_goes_away_half_made_frees_the_place(
    start: Start, connect: Connect, listener: str, said: bytes
) -> None:
    ours = await start(listener, limits=Limits(arrivals_per_source=1))
    for _ in range(3):
        stranger = connect(ours.address, "127.0.0.2", said)
        await until(lambda: under_way(ours) == 1)
        stranger.close()
        await until(lambda: under_way(ours) == 0)


@pytest.mark.parametrize(("listener", "said"), HALF_MADE)
async def test_a_stop_ends_what_is_half_made(
    start: Start, connect: Connect, listener: str, said: bytes
) -> None:
    ours = await start(listener)
    stranger = connect(ours.address, "127.0.0.2", said)
    await until(lambda: under_way(ours) == 1)
    await ours.endpoint.stop()
    assert await stranger.is_closed()


async def test_what_is_no_tls_ends_the_connection(start: Start, connect: Connect) -> None:
    ours = await start("tls:127.0.0.1:0")
    stranger = connect(ours.address, "127.0.0.2", b"OPTIONS sip:x SIP/2.0\r\n\r\n")
    assert await stranger.is_closed()
    await until(lambda: under_way(ours) == 0)


async def test_who_is_in_is_not_on_the_way_any_more(start: Start, authority: Authority) -> None:
    theirs = await start("tls:127.0.0.1:0", "wss:127.0.0.1:0")
    theirs.answer_all(200)
    ours = await start(tls=TlsSettings(providers={"example.com": TlsPolicy(authority.file)}))
    for place in range(2):
        flow = await ours.endpoint.flow_to(theirs.target(place, tls_name="example.com"))
        inbox = Inbox()
        ours.endpoint.send(build_request(), flow, inbox)
        assert (await inbox.response()).response.status == 200
    assert under_way(theirs) == 0


def test_a_connection_that_nobody_brings_in_is_closed() -> None:
    def refuse(_: str, job: object) -> bool:
        job.close()  # type: ignore[attr-defined]
        return False

    async def welcome(_: Arrival) -> None:
        raise AssertionError("nobody comes in")

    arrivals = Arrivals(ManualClock(), refuse)
    near, far = socket.socketpair()
    arrivals.receive(near, "192.0.2.1", welcome)
    assert near.fileno() == -1
    assert len(arrivals) == 0
    far.close()
