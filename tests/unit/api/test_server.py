"""The HTTP listeners: renewed certificates, and bounds for those who connect."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from sipis.api import server
from sipis.api.server import CONNECTIONS_PER_SOURCE, HttpListener
from sipis.clock import ManualClock, SystemClock
from sipis.config import ApiSettings
from sipis.errors import ConfigError
from sipis.observe.metrics import Metrics
from sipis.transport.arrivals import ARRIVAL_TIMEOUT, ARRIVALS_PER_SOURCE, Arrivals
from sipis.world.tls import ThrowawayCa
from tests.support.http import running
from tests.support.transport import HELLO, Stranger, until


class Certificates:
    """The files of a listener, and who vouches for them."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.renew()

    def renew(self) -> None:
        self.ca = ThrowawayCa()
        for file, pem in zip((self.cert, self.key), self.ca.issue("localhost"), strict=True):
            file.write_bytes(pem)

    async def are_served_by(self, listener: HttpListener) -> bool:
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1",
                listener.port,
                ssl=self.ca.client_context(),
                server_hostname="localhost",
            )
        except ssl.SSLCertVerificationError:
            return False
        writer.transport.abort()
        return True


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
async def listener(files: Certificates) -> AsyncIterator[HttpListener]:
    settings = ApiSettings(port=0, cert_file=files.cert, key_file=files.key)
    async with running(
        HttpListener(web.Application(), settings, "api", SystemClock(), Metrics())
    ) as listener:
        yield listener


async def test_a_renewed_certificate_is_served_after_a_reload(
    files: Certificates, listener: HttpListener
) -> None:
    assert await files.are_served_by(listener)
    files.renew()
    assert not await files.are_served_by(listener)
    listener.reload()
    assert await files.are_served_by(listener)


async def test_a_broken_certificate_leaves_the_one_before(
    files: Certificates, listener: HttpListener
) -> None:
    files.cert.write_text("nonsense")
    with pytest.raises(ConfigError, match="cert_file"):
        listener.reload()
    assert await files.are_served_by(listener)


Serve = Callable[..., Awaitable[tuple[str, int]]]
Crowd = Callable[..., list[Stranger]]

HALF_MADE = [
    pytest.param(False, b"", id="nothing"),
    pytest.param(False, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", id="half a head"),
    pytest.param(True, b"", id="tls, nothing"),
    pytest.param(True, HELLO, id="tls, half a hello"),
]
"""Whether over TLS, and what a stranger says before falling silent."""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def serve(files: Certificates, clock: ManualClock) -> AsyncIterator[Serve]:
    """Starts listeners; returns where they are."""
    async with AsyncExitStack() as stack:

        async def begin(**how: bool) -> tuple[str, int]:
            secure = how.pop("secure", False)
            tls = {"cert_file": files.cert, "key_file": files.key} if secure else {}
            settings = ApiSettings.model_validate({"port": 0, **tls, **how})
            listener = HttpListener(web.Application(), settings, "api", clock, Metrics())
            await stack.enter_async_context(running(listener))
            return "127.0.0.1", listener.port

        yield begin


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """So many connections from one address, all of which say the same."""
    with ExitStack() as stack:
        yield lambda number, *how: [stack.enter_context(Stranger(*how)) for _ in range(number)]


async def status(address: tuple[str, int], source: str, context: ssl.SSLContext | None) -> int:
    """What a request from there is answered."""
    reader, writer = await asyncio.open_connection(
        *address,
        ssl=context,
        server_hostname="localhost" if context else None,
        local_addr=(source, 0),
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.transport.abort()
    return int(line.split(b" ")[1])


@pytest.mark.parametrize(("secure", "said"), HALF_MADE)
async def test_one_source_holds_only_so_many_connections_that_are_half_made(
    serve: Serve, crowd: Crowd, files: Certificates, *, secure: bool, said: bytes
) -> None:
    address = await serve(secure=secure)
    strangers = crowd(ARRIVALS_PER_SOURCE + 3, address, "127.0.0.2", said)
    await until(lambda: sum(one.has_been_closed() for one in strangers) == 3)
    context = files.ca.client_context() if secure else None
    assert await status(address, "127.0.0.3", context) == 404
    assert sum(one.has_been_closed() for one in strangers) == 3


@pytest.mark.parametrize(("secure", "said"), HALF_MADE)
async def test_strangers_who_hold_every_place_keep_nobody_out(
    serve: Serve,
    crowd: Crowd,
    files: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    *,
    secure: bool,
    said: bytes,
) -> None:
    monkeypatch.setattr(server, "Arrivals", partial(Arrivals, most=20))
    address = await serve(secure=secure)
    strangers = [one for n in range(2, 12) for one in crowd(3, address, f"127.0.0.{n}", said)]
    await until(lambda: sum(one.has_been_closed() for one in strangers) == 10)
    context = files.ca.client_context() if secure else None
    assert await status(address, "127.0.0.2", context) == 404


@pytest.mark.parametrize(("secure", "said"), HALF_MADE)
async def test_what_stays_half_made_is_ended_in_time(
    serve: Serve, crowd: Crowd, clock: ManualClock, *, secure: bool, said: bytes
) -> None:
    [stranger] = crowd(1, await serve(secure=secure), "127.0.0.2", said)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not stranger.has_been_closed()
    await clock.advance(ARRIVAL_TIMEOUT)
    assert await stranger.is_closed()


async def test_one_source_holds_only_so_many_connections(serve: Serve, crowd: Crowd) -> None:
    address = await serve()
    for _ in range(CONNECTIONS_PER_SOURCE // 32):
        for one in crowd(32, address, "127.0.0.2", REQUEST):
            assert (await one.hears()).startswith(b"HTTP/1.1 404 ")
    [more] = crowd(1, address, "127.0.0.2", REQUEST)
    assert await more.is_closed()
    assert await status(address, "127.0.0.3", None) == 404


async def test_a_proxy_holds_as_many_connections_as_it_likes(serve: Serve, crowd: Crowd) -> None:
    address = await serve(behind_proxy=True)
    idle = crowd(CONNECTIONS_PER_SOURCE + ARRIVALS_PER_SOURCE, address, "127.0.0.2", b"")
    assert await status(address, "127.0.0.2", None) == 404
    assert not any(one.has_been_closed() for one in idle)


async def test_a_proxy_may_wait_with_its_first_request(
    serve: Serve, crowd: Crowd, clock: ManualClock
) -> None:
    [idle] = crowd(1, await serve(behind_proxy=True), "127.0.0.2", b"")
    for _ in range(20):
        await asyncio.sleep(0)
    await clock.advance(2 * ARRIVAL_TIMEOUT)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not idle.has_been_closed()


async def test_a_start_that_is_given_up_at_any_moment_leaves_no_descriptor_open() -> None:
    await started_for(turns=200)  # whatever the loop opens once is open now
    before = await descriptors()
    for turns in range(0, 60, 3):
        await started_for(turns)
        assert await descriptors() == before, turns


async def started_for(turns: int) -> None:
    listener = HttpListener(web.Application(), ApiSettings(port=0), "api", SystemClock(), Metrics())
    start = asyncio.ensure_future(listener.start())
    for _ in range(turns):
        await asyncio.sleep(0)
    if start.done():
        await listener.stop()
        return
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start


async def descriptors() -> int:
    """How many are open once the loop has closed what it was told to."""
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
