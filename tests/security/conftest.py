"""A town with a server in it, a name server, a stranger, and a tap on every packet that leaves."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from sipis.world.agent import Agent
from sipis.world.dns import NameServer
from tests.scenarios.conftest import Town, empty_town
from tests.support.wire import Wire, tapped

__all__ = ["empty_town"]


def known_ports(town: Town) -> list[int]:
    """Where a server and its phones have to send to in any case: API, Apple, Google."""
    assert town.server is not None
    google = urlsplit(town.stage.fcm.base_url).port
    return [town.server.api_port, town.stage.apns.port, google or 443]


@pytest.fixture
async def town(empty_town: Town) -> Town:
    """The world with a server that may be asked often."""
    await empty_town.serve(api={"requests_per_minute": 1_000_000})
    return empty_town


@pytest.fixture
def wire() -> Iterator[Wire]:
    with tapped() as wire:
        yield wire


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    names = NameServer()
    await names.start()
    yield names
    await names.stop()


@pytest.fixture
async def stranger() -> AsyncIterator[Agent]:
    """Somebody at another address than the provider's."""
    async with Agent(["udp:127.0.0.2:0", "tcp:127.0.0.2:0"], name="stranger") as agent:
        yield agent
