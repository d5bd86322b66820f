"""The woken app behind a NAT, in a network of its own: its flow is the only way to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.sip.limits import LARGEST_REQUEST
from tests.interop.conftest import MakePhone, MakeServer
from tests.support import sipp
from tests.support.kamailio import Kamailio
from tests.support.netns import PrivateNetwork
from tests.support.phone import Phone
from tests.support.processes import wait_until
from tests.support.server import Server
from tests.support.trust import Trust

TRANSPORTS = ["udp", "tcp", "tls"]
NAT_BINDING = 3
"""Seconds for which the NAT keeps a UDP binding; the server is told so."""


@pytest.fixture(scope="module")
def network() -> Iterator[PrivateNetwork]:
    network = PrivateNetwork()
    network.set_udp_timeout(NAT_BINDING)
    yield network
    network.close()


@pytest.fixture(scope="module")
def server(servers: MakeServer, trust: Trust, network: PrivateNetwork) -> Server:
    """A server that apps reach on the link to the NAT."""
    own = trust.certificate(network.outside)
    doors = [f"{kind}:{network.outside}:0" for kind in TRANSPORTS]
    return servers(sip={
        "app_listeners": doors, "cert_file": str(own.chain), "key_file": str(own.key),
        "nat_binding": NAT_BINDING,
    })  # fmt: skip


def seen_from_both_sides(phone: Phone, network: PrivateNetwork) -> bool:
    """Whether the phone spoke of its private address and was told its public one."""
    said = phone.said()
    contact = said.partition("Contact: <sip:")[2].partition(">")[0]
    return network.inside in contact and f"received={network.public}" in said


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_reaches_an_app_behind_nat_and_the_caller_hangs_up(
    transport: str, provider: Kamailio, phones: MakePhone, network: PrivateNetwork, tmp_path: Path
) -> None:
    bob = phones(f"bob-behind-{transport}", relay=transport, network=network)
    bob.enable(provider.address())
    bob.until_reachable()

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    bob.heard("session closed")
    assert seen_from_both_sides(bob, network)
    assert bob.fate_of(str(bob.pushed("call")["call"])) == "answered"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_app_behind_nat_hangs_up(
    transport: str, provider: Kamailio, phones: MakePhone, network: PrivateNetwork, tmp_path: Path
) -> None:
    bob = phones(f"bob-hangs-up-{transport}", relay=transport, network=network)
    bob.enable(provider.address())
    bob.until_reachable()

    call = sipp.start(tmp_path, "call_callee_ends", bob.user, provider.port)
    bob.heard("Call established")
    assert bob.softphone is not None
    bob.softphone.command("hangup")

    sipp.finish(call)


def test_keep_alives_hold_the_nat_open_for_the_next_call(
    provider: Kamailio, phones: MakePhone, network: PrivateNetwork, tmp_path: Path
) -> None:
    bob = phones("bob-stays", relay="udp", network=network)
    bob.enable(provider.address())
    bob.until_reachable()
    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))
    bob.heard("session closed")
    registers = bob.said().count("REGISTER sip:")

    before = network.keep_alives_in()
    wait_until(lambda: network.keep_alives_in() >= before + 3, "three keep-alives", 30)
    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    wait_until(lambda: bob.said().count("session closed") >= 2, "the second call to end")
    assert bob.said().count("REGISTER sip:") == registers
    assert len([it for it in bob.pushes if it["event"] == "call"]) == 1


def test_a_large_call_stays_on_the_flow_since_nobody_can_connect_to_the_app(
    provider: Kamailio, phones: MakePhone, network: PrivateNetwork, tmp_path: Path
) -> None:
    bob = phones("bob-gets-much", relay="udp", network=network)
    bob.enable(provider.address())
    bob.until_reachable()

    call = sipp.start(tmp_path, "call", bob.user, provider.port, subject="x" * LARGEST_REQUEST)
    sipp.finish(call)

    bob.heard("session closed")
    invite = bob.said().partition("INVITE sip:")[2]
    assert invite.partition("Via: SIP/2.0/")[2].startswith("UDP")
