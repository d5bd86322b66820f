"""The woken app behind a NAT, in a network of its own: its flow is the only way to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from sipis.sip.limits import LARGEST_REQUEST
from sipis.sip.message import Request
from sipis.world.call import Caller
from sipis.world.provider import Provider
from tests.interop.conftest import MakePhone, MakeServer
from tests.support import sipp
from tests.support.kamailio import DOMAIN, Kamailio
from tests.support.netns import PrivateNetwork
from tests.support.phone import Phone, sleep_on
from tests.support.processes import wait_until
from tests.support.roamer import Roamer, StreamRoamer
from tests.support.server import Server
from tests.support.sip_peers import ANSWER, OFFER
from tests.support.trust import Trust

SDP_TYPE = [("Content-Type", "application/sdp")]
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
    bob.hand_over(provider.address())

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    bob.heard("session closed")
    assert seen_from_both_sides(bob, network)
    assert bob.fate_of(str(bob.pushed("call")["call"])) == "answered"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_app_behind_nat_hangs_up(
    transport: str, provider: Kamailio, phones: MakePhone, network: PrivateNetwork, tmp_path: Path
) -> None:
    bob = phones(f"bob-hangs-up-{transport}", relay=transport, network=network)
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "call_callee_ends", bob.user, provider.port)
    bob.hang_up()

    sipp.finish(call)


def test_keep_alives_hold_the_nat_open_for_the_next_call(
    provider: Kamailio, phones: MakePhone, network: PrivateNetwork, tmp_path: Path
) -> None:
    bob = phones("bob-stays", relay="udp", network=network)
    bob.hand_over(provider.address())
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
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "call", bob.user, provider.port, subject="x" * LARGEST_REQUEST)
    sipp.finish(call)

    bob.heard("session closed")
    invite = bob.said().partition("INVITE sip:")[2]
    assert invite.partition("Via: SIP/2.0/")[2].startswith("UDP")


class Roaming:
    """A call of a phone that takes another address, in the middle of it, without a word."""

    provider: Provider
    caller: Caller
    app: Roamer
    invite: Request

    def __init__(self, phone: Phone, network: PrivateNetwork, kind: type[Roamer]) -> None:
        self.phone = phone
        self.network = network
        self.kind = kind
        self.arrived: list[Roamer] = []

    async def talk(self, provider: Provider) -> None:
        provider.add(self.phone.user, f"secret-{self.phone.user}")
        await asyncio.to_thread(self.phone.enable, provider.address())
        await asyncio.to_thread(self.phone.until_reachable)
        self.app = await self.arrive()
        self.caller = provider.call(self.phone.user)
        self.invite = await self.app.asked("INVITE")
        self.app.respond(self.invite, 200, SDP_TYPE, ANSWER)
        assert (await self.caller.final).status == 200
        await self.app.asked("ACK")

    async def leave(self) -> None:
        """The old address is gone; nobody is told, and nothing comes from there any more."""
        await asyncio.to_thread(self.network.move)

    async def arrive(self) -> Roamer:
        relay = self.phone.instance["relay"]
        assert isinstance(relay, Mapping)
        self.arrived.append(await self.kind.arrive(self.network, relay))
        return self.arrived[-1]

    async def move(self) -> None:
        """The app is somewhere else; the ACK, which nothing answers, comes there once more."""
        await self.leave()
        old, self.app = self.app, await self.arrive()
        await self.app.asked("ACK")
        assert old.address != self.app.address

    async def fate(self) -> str:
        call = self.invite.headers.get("X-Push-Call-ID") or ""
        return await asyncio.to_thread(self.phone.fate_of, call)


@pytest.mark.parametrize("kind", [Roamer, StreamRoamer])
class TestRoaming:
    """An app that changes networks in mid-call."""

    @pytest.fixture
    async def roaming(
        self, kind: type[Roamer], phones: MakePhone, network: PrivateNetwork
    ) -> AsyncIterator[Roaming]:
        async with Provider(DOMAIN) as provider:
            phone = phones(f"bob-roams-over-{kind.over}", on_call=sleep_on)
            roaming = Roaming(phone, network, kind)
            await roaming.talk(provider)
            yield roaming
            for app in roaming.arrived:
                app.close()

    async def test_both_sides_reach_each_other_and_the_caller_hangs_up(
        self, roaming: Roaming
    ) -> None:
        await roaming.move()
        app, caller = roaming.app, roaming.caller

        app.within("INVITE", roaming.invite, headers=SDP_TYPE, body=OFFER)
        answered = await app.response(200)
        assert answered.body
        app.within("ACK", roaming.invite, cseq=1)
        assert await until_asked(caller, "INVITE") == OFFER

        info = asyncio.create_task(caller.ask("INFO", b"5", kind="application/dtmf"))
        app.respond(await app.asked("INFO"), 200)
        assert (await info).status == 200

        assert (await caller.bye()).status == 200
        app.respond(await app.asked("BYE"), 200)
        assert await roaming.fate() == "answered"

    async def test_the_app_hangs_up_from_its_new_address(self, roaming: Roaming) -> None:
        await roaming.move()
        roaming.app.within("BYE", roaming.invite)
        await roaming.app.response(200)
        await roaming.caller.ended.wait()

    async def test_a_caller_who_hangs_up_meanwhile_is_heard_on_arrival(
        self, roaming: Roaming
    ) -> None:
        await roaming.leave()
        assert (await roaming.caller.bye()).status == 200
        roaming.app = await roaming.arrive()
        await roaming.app.asked("ACK")
        roaming.app.respond(await roaming.app.asked("BYE"), 200)


async def until_asked(caller: Caller, method: str) -> bytes:
    """The body of the next request of this method that the caller's side got."""
    while True:
        request = await caller.requests.next()
        if request.method == method:
            return request.body
