"""Requests above 1300 bytes (RFC 3261 18.1.1): TCP to peers that have it, UDP to all others."""

from pathlib import Path

import pytest

from sipis.sip.flow import Transport
from sipis.sip.limits import LARGEST_REQUEST
from sipis.world.call import OFFER
from sipis.world.provider import Provider
from tests.interop.conftest import MakePhone, MakeProvider, MakeServer
from tests.scenarios.conftest import a_town
from tests.support import sipp
from tests.support.kamailio import DOMAIN, Kamailio
from tests.support.phone import Phone
from tests.support.processes import free_port_pair
from tests.support.server import Server

LONG = "x" * LARGEST_REQUEST


@pytest.fixture(scope="module")
def server(servers: MakeServer) -> Server:
    """A server whose apps come over UDP."""
    return servers(sip={"app_listeners": [f"udp:127.0.0.1:{free_port_pair()}"]})


def register_at_length(phone: Phone, provider: Kamailio) -> None:
    """Hand over an account that says so much of itself that its REGISTER is too large for UDP."""
    wordy = {"display_name": "y" * 256, "user_agent": "z" * 256}
    phone.hand_over(provider.address(Transport.UDP), about=wordy)


def test_a_large_register_reaches_the_provider_over_tcp_and_calls_come_in(
    provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    bob = phones("bob-at-length", relay="udp")
    register_at_length(bob, provider)

    [contact], [socket] = provider.contacts(), provider.sockets()
    assert "transport=" not in contact
    assert socket == f"tcp:127.0.0.1:{provider.port}"
    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))
    bob.heard("session closed")


def test_a_provider_without_tcp_gets_the_large_register_over_udp(
    providers: MakeProvider, phones: MakePhone, tmp_path: Path
) -> None:
    provider = providers(NO_TCP="1")
    bob = phones("bob-at-length-over-udp", relay="udp")
    register_at_length(bob, provider)

    assert provider.sockets() == [f"udp:127.0.0.1:{provider.port}"]
    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))
    bob.heard("session closed")


@pytest.mark.parametrize("has_tcp", [True, False])
def test_a_large_call_reaches_an_app_over_tcp_where_it_listens_and_else_over_udp(
    provider: Kamailio, phones: MakePhone, tmp_path: Path, *, has_tcp: bool
) -> None:
    bob = phones(f"bob-{has_tcp}", relay="udp", listen=free_port_pair() if has_tcp else 0)
    bob.hand_over(provider.address())

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port, subject=LONG))

    bob.heard("session closed")
    invited = bob.said().partition("INVITE sip:")[2]
    assert invited.partition("Via: SIP/2.0/")[2].startswith("TCP" if has_tcp else "UDP")


@pytest.mark.parametrize("has_tcp", [True, False])
async def test_a_large_offer_inside_a_call_reaches_the_provider(
    tmp_path: Path, *, has_tcp: bool
) -> None:
    port = free_port_pair()
    kinds = ["udp", "tcp"] if has_tcp else ["udp"]
    doors = [f"{kind}:127.0.0.1:{port}" for kind in kinds]
    async with a_town(tmp_path) as town, Provider(DOMAIN, listeners=doors) as provider:
        town.provider = provider
        await town.serve()
        caller, callee = await town.talk(await town.asleep())

        answered = await callee.ask("INVITE", OFFER + f"a=x-note:{LONG}\r\n".encode())

        assert answered.status == 200
        asked = [await caller.requests.next() for _ in range(2)]
        ways = [(it.method, it.via.transport) for it in asked]
        assert ways == [("INVITE", "TCP" if has_tcp else "UDP"), ("ACK", "UDP")]
        assert (await caller.bye()).status == 200
        await town.stop()
