"""S12: a thousand slow connections cost the others nothing, and are closed within 15 seconds.

Nor do those keep anybody out that never get through their TLS handshake or their upgrade.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import pytest

from sipis.api import server as api
from sipis.sip.flow import Door, Transport
from sipis.transport import endpoint
from sipis.transport.arrivals import Arrivals
from sipis.transport.flows import Limits
from sipis.world.handset import Handset
from tests.scenarios.conftest import Town
from tests.support.raw import door_of
from tests.support.transport import HELLO, REQUEST, Stranger, until

pytestmark = pytest.mark.timeout(60)

SLOW = 1_000
SAMPLES = 60
CLOSED_WITHIN = 15.0
FLOOR = 0.2
"""Seconds below which a p99 says more about a busy machine than about the server."""

HEADS = {
    "an unfinished head": b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    "an unfinished body": (
        b"POST /v1/instances HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{"
    ),
    "nothing at all": b"",
    "an unfinished SIP message": b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a",
}


async def p99(ask: Callable[[], Awaitable[object]]) -> float:
    """The 99th percentile of the time that an answer takes, in seconds."""
    loop, times = asyncio.get_running_loop(), []
    for _ in range(SAMPLES):
        began = loop.time()
        await ask()
        times.append(loop.time() - began)
    return statistics.quantiles(times, n=100)[98]


class Slow:
    """Somebody who connects, says half a sentence and waits."""

    def __init__(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
        self._writer, self._reader = writer, reader

    async def closed(self) -> None:
        try:
            while await self._reader.read(4096):
                pass
        except ConnectionError:
            pass
        self._writer.close()


async def slow_ones(address: tuple[str, int], said: bytes, number: int, host: str) -> list[Slow]:
    made = []
    for n in range(number):
        # A source may have no more than so many connections, so the thousand have several.
        source = f"127.0.{host}.{2 + n // 200}"
        reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
        writer.write(said)
        made.append(Slow(writer, reader))
    return made


async def test_slow_connections_are_closed_in_time_and_cost_the_others_nothing(town: Town) -> None:
    assert town.server is not None
    phone: Handset = await town.asleep()
    places = {
        "an unfinished head": ("127.0.0.1", town.server.api_port),
        "an unfinished body": ("127.0.0.1", town.server.api_port),
        "nothing at all": door_of(town.server, Door.APP, Transport.TCP),
        "an unfinished SIP message": door_of(town.server, Door.PROVIDER, Transport.TCP),
    }
    asks = (lambda: phone.here("GET"), lambda: town.provider.options("alice"))
    usual = [await p99(ask) for ask in asks]
    loop = asyncio.get_running_loop()
    began = loop.time()
    everybody = []
    for number, (name, address) in enumerate(places.items()):
        said = HEADS[name].replace(b"%s", phone._app_key.encode())
        everybody += await slow_ones(address, said, SLOW // len(places), str(number))
    opened_for = loop.time() - began
    beset = [min([await p99(ask) for _ in range(3)]) for ask in asks]  # others may be at work too
    async with AsyncExitStack(), asyncio.timeout(CLOSED_WITHIN + opened_for):
        await asyncio.gather(*(slow.closed() for slow in everybody))
    for before, now in zip(usual, beset, strict=True):
        assert now < max(2 * before, FLOOR)
    assert (await phone.here("GET")).status == 200


PLACES = 100


def all_but(held: int, strangers: list[Stranger]) -> bool:
    """Whether so many are held and the others have been hung up on."""
    return sum(not one.has_been_closed() for one in strangers) == held


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer places for connections that are half made, so that the test needs fewer of them."""
    monkeypatch.setattr(endpoint, "Limits", partial(Limits, arrivals=PLACES))
    monkeypatch.setattr(api, "Arrivals", partial(Arrivals, most=PLACES))


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.WSS])
@pytest.mark.usefixtures("narrow")
async def test_a_call_comes_through_while_strangers_hold_every_place_of_the_half_made(
    empty_town: Town, transport: Transport
) -> None:
    town = empty_town
    sip = town.certified(f"{transport}:127.0.0.1:0")
    server = await town.serve(sip=sip, api={"requests_per_minute": 1_000_000})
    phone = await town.asleep()
    doors = [
        (door_of(server, Door.APP, transport), HELLO),
        (("127.0.0.1", server.api_port), REQUEST),
    ]
    with ExitStack() as stack:
        for address, said in doors:
            strangers = [
                stack.enter_context(Stranger(address, f"127.0.2.{1 + n // 50}", said))
                for n in range(2 * PLACES)
            ]
            await until(partial(all_but, PLACES, strangers))
        await town.talk(phone)
        assert (await phone.here("GET")).status == 200
