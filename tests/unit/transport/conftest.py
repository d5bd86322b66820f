"""Endpoints, bare peers and certificates; what they are made of is in tests.support.transport."""

import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack

import pytest
from cryptography import x509

from sipis.clock import Clock, ManualClock
from sipis.sip.flow import Door
from sipis.transport.endpoint import Endpoint
from sipis.transport.networks import NetworkPolicy
from sipis.transport.targets import Listener
from tests.support.transport import (
    LOOPBACK,
    Authority,
    Issued,
    Party,
    counting_entropy,
    new_authority,
    running,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start(clock: ManualClock) -> AsyncIterator[Callable[..., Awaitable[Party]]]:
    """Starts endpoints, and stops them in the end."""
    async with AsyncExitStack() as stack:

        async def begin(
            *listeners: str, app: Sequence[str] = (), clock: Clock = clock, **options: object
        ) -> Party:
            everything = [Listener.parse(text, Door.PROVIDER) for text in listeners]
            everything += [Listener.parse(text, Door.APP) for text in app]
            settings: dict[str, object] = {
                "policy": NetworkPolicy(LOOPBACK),
                "entropy": counting_entropy(),
                **options,
            }
            endpoint = Endpoint(clock=clock, listeners=everything, **settings)  # type: ignore[arg-type]
            return await stack.enter_async_context(running(endpoint))

        yield begin


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A bare UDP socket on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(0)
        yield opened


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def server_certificate(authority: Authority) -> Issued:
    address = ipaddress.ip_address("127.0.0.1")
    return authority.issue(x509.DNSName("example.com"), x509.IPAddress(address))
