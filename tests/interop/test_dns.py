"""Finding a provider's servers through dnsmasq (RFC 3263), and turning from a dead one to the next.

Where time matters it stands still until the test moves it. dnsmasq is another program: whatever
waits for it waits in turns of the loop, bounded by the real clock.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.errors import TransportError
from sipis.model import InstanceState
from sipis.sip.flow import Transport
from sipis.sip.uri import SipUri
from sipis.store import timing
from sipis.transport.networks import NetworkPolicy
from sipis.transport.records import LAST_GOOD, NEGATIVE_TTL, AresNameServer
from sipis.transport.resolver import Resolver
from sipis.transport.targets import Target
from sipis.world.provider import Provider
from tests.scenarios.conftest import a_town
from tests.support.dnsmasq import Dnsmasq
from tests.support.processes import free_port_pair
from tests.support.registrar import Registrar, Stage, registrar_on, silence, staged
from tests.support.transport import LOOPBACK

DOMAIN = "provider.example"
HOME = SipUri.parse(f"sip:{DOMAIN}")
UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
SRV = {UDP: f"_sip._udp.{DOMAIN}", TCP: f"_sip._tcp.{DOMAIN}", TLS: f"_sips._tcp.{DOMAIN}"}
NAPTR_SERVICE = {UDP: "SIP+D2U", TCP: "SIP+D2T", TLS: "SIPS+D2T"}
PATIENCE = 20.0


def naptr(order: int, preference: int, transport: Transport) -> str:
    service, name = NAPTR_SERVICE[transport], SRV[transport]
    return f"naptr-record={DOMAIN},{order},{preference},s,{service},,{name}"


def srv(transport: Transport, host: str, port: int, priority: int = 1, weight: int = 1) -> str:
    return f"srv-host={SRV[transport]},{host},{port},{priority},{weight}"


def host(name: str, *addresses: str) -> str:
    return f"host-record={name},{','.join(addresses)}"


class Names:
    """The server's resolver on a clock that stands still, with dnsmasq as its name server."""

    def __init__(self, dnsmasq: Dnsmasq, clock: ManualClock) -> None:
        self.dnsmasq = dnsmasq
        self._server = AresNameServer([dnsmasq.address])
        self.resolver = Resolver(
            policy=NetworkPolicy(LOOPBACK),
            clock=clock,
            entropy=os.urandom,
            server=self._server,
        )

    async def serve(self, *records: str, ttl: int = 60) -> None:
        """Change the zone; c-ares keeps real time, and is made to forget what it would know."""
        self.dnsmasq.serve(records, ttl=ttl)
        await self._server.close()

    async def fall_silent(self) -> None:
        """No name server answers any more."""
        self.dnsmasq.stop()
        await self._server.close()

    async def find(self, uri: SipUri = HOME) -> list[Target]:
        return await self.resolver.resolve(uri)

    async def places(self, uri: SipUri = HOME) -> list[tuple[Transport, str, int]]:
        return [(it.transport, it.host, it.port) for it in await self.find(uri)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[Dnsmasq]:
    running = Dnsmasq(tmp_path)
    yield running
    running.stop()


@pytest.fixture
async def names(dnsmasq: Dnsmasq, clock: ManualClock) -> AsyncIterator[Names]:
    names = Names(dnsmasq, clock)
    yield names
    await names.resolver.close()


class TestTheWayDown:
    """NAPTR, SRV, A and AAAA."""

    async def test_naptr_says_the_transport_srv_the_servers_and_a_their_addresses(
        self, names: Names
    ) -> None:
        await names.serve(
            naptr(20, 10, UDP), naptr(10, 20, TCP), naptr(10, 10, TLS),
            srv(UDP, "udp.example", 5070),
            srv(TCP, "tcp.example", 5080),
            srv(TLS, "second.example", 5092, priority=2), srv(TLS, "first.example", 5091),
            host("first.example", "127.0.0.1", "::1"), host("second.example", "127.0.0.2"),
            host("tcp.example", "127.0.0.3"), host("udp.example", "127.0.0.4"),
        )  # fmt: skip
        assert await names.places() == [
            (TLS, "127.0.0.1", 5091), (TLS, "::1", 5091), (TLS, "127.0.0.2", 5092),
            (TCP, "127.0.0.3", 5080),
        ]  # fmt: skip
        assert {target.tls_name for target in await names.find() if target.transport is TLS} == {
            DOMAIN
        }

    async def test_without_naptr_the_srv_records_say_it(self, names: Names) -> None:
        await names.serve(
            srv(TCP, "tcp.example", 5080), srv(UDP, "udp.example", 5070),
            host("tcp.example", "127.0.0.3"), host("udp.example", "127.0.0.4"),
        )  # fmt: skip
        assert await names.places() == [(UDP, "127.0.0.4", 5070), (TCP, "127.0.0.3", 5080)]
        assert (DOMAIN, "NAPTR") in names.dnsmasq.asked()

    async def test_without_srv_the_addresses_of_the_domain_serve(self, names: Names) -> None:
        await names.serve(host(DOMAIN, "127.0.0.1", "::1"))
        assert await names.places() == [(UDP, "127.0.0.1", 5060), (UDP, "::1", 5060)]
        assert {kind for _, kind in names.dnsmasq.asked()} == {"NAPTR", "SRV", "A", "AAAA"}

    async def test_a_domain_that_does_not_exist_has_no_server(self, names: Names) -> None:
        await names.serve(host("another.example", "127.0.0.1"))
        with pytest.raises(TransportError, match="the domain has no server"):
            await names.find()

    async def test_a_server_without_an_address_is_left_out(self, names: Names) -> None:
        await names.serve(
            srv(UDP, "nowhere.example", 5070), srv(UDP, "udp.example", 5071, priority=2),
            host("udp.example", "127.0.0.4"),
        )  # fmt: skip
        assert await names.places() == [(UDP, "127.0.0.4", 5071)]

    async def test_addresses_in_refused_networks_are_left_out(self, names: Names) -> None:
        await names.serve(
            srv(UDP, "inside.example", 5070), srv(UDP, "udp.example", 5071, priority=2),
            host("inside.example", "10.0.0.1"), host("udp.example", "127.0.0.4"),
        )  # fmt: skip
        assert await names.places() == [(UDP, "127.0.0.4", 5071)]

    async def test_an_alias_is_followed(self, names: Names) -> None:
        await names.serve(
            srv(UDP, "alias.example", 5070), "cname=alias.example,udp.example",
            host("udp.example", "127.0.0.4"),
        )  # fmt: skip
        assert await names.places() == [(UDP, "127.0.0.4", 5070)]

    async def test_chance_decides_by_weight_and_never_across_priorities(self, names: Names) -> None:
        await names.serve(
            srv(UDP, "heavy.example", 5070, priority=1, weight=90),
            srv(UDP, "light.example", 5070, priority=1, weight=10),
            srv(UDP, "spare.example", 5070, priority=2, weight=1000),
            host("heavy.example", "127.0.0.1"), host("light.example", "127.0.0.2"),
            host("spare.example", "127.0.0.3"),
        )  # fmt: skip
        drawn: Counter[str] = Counter()
        for _ in range(1000):
            first, _, last = await names.find()
            assert last.host == "127.0.0.3"
            drawn[first.host] += 1
        assert 40 < drawn["127.0.0.2"] < 180  # 100 ± 6 standard deviations and more
        assert drawn["127.0.0.3"] == 0


class TestTime:
    """What was answered holds for its TTL: no longer, no shorter."""

    async def test_a_changed_record_is_seen_after_its_ttl_and_not_before(
        self, names: Names, clock: ManualClock
    ) -> None:
        await names.serve(host(DOMAIN, "127.0.0.1"), ttl=90)
        assert await names.places() == [(UDP, "127.0.0.1", 5060)]
        await names.serve(host(DOMAIN, "127.0.0.2"), ttl=90)
        await clock.advance(29)  # the absence of NAPTR and SRV is believed for 30 s
        assert await names.places() == [(UDP, "127.0.0.1", 5060)]
        assert names.dnsmasq.asked() == []
        await clock.advance(60)
        assert await names.places() == [(UDP, "127.0.0.1", 5060)]
        await clock.advance(1)
        assert await names.places() == [(UDP, "127.0.0.2", 5060)]

    async def test_each_record_of_the_chain_has_a_ttl_of_its_own(
        self, names: Names, clock: ManualClock
    ) -> None:
        chain = [naptr(1, 1, TCP), srv(TCP, "edge.example", 5070)]
        await names.serve(*chain, "host-record=edge.example,127.0.0.1,20", ttl=600)
        assert await names.places() == [(TCP, "127.0.0.1", 5070)]
        await names.serve(*chain, "host-record=edge.example,127.0.0.2,20", ttl=600)
        await clock.advance(19)
        assert await names.places() == [(TCP, "127.0.0.1", 5070)]
        await clock.advance(1)
        assert await names.places() == [(TCP, "127.0.0.2", 5070)]
        assert ("edge.example", "A") in names.dnsmasq.asked()
        assert (DOMAIN, "NAPTR") not in names.dnsmasq.asked()

    async def test_an_absence_is_believed_for_half_a_minute(
        self, names: Names, clock: ManualClock
    ) -> None:
        await names.serve()
        for _ in range(2):
            with pytest.raises(TransportError):
                await names.find()
        await names.serve(srv(UDP, "edge.example", 5070), host("edge.example", "127.0.0.1"))
        await clock.advance(NEGATIVE_TTL - 1)
        with pytest.raises(TransportError):
            await names.find()
        await clock.advance(1)
        assert await names.places() == [(UDP, "127.0.0.1", 5070)]

    async def test_while_no_name_server_answers_the_last_answer_serves_for_an_hour(
        self, names: Names, clock: ManualClock
    ) -> None:
        await names.serve(srv(UDP, "edge.example", 5070), host("edge.example", "127.0.0.1"), ttl=60)
        before = await names.places()
        await names.fall_silent()
        await clock.advance(61)
        assert await names.places() == before
        await clock.advance(LAST_GOOD)
        with pytest.raises(TransportError, match="do not answer"):
            await names.find()


class Land:
    """A registrant that finds its registrars by name; time passes in steps while it waits."""

    def __init__(self, stage: Stage, names: Names) -> None:
        self.stage = stage
        self.names = names

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Move the clock until something holds, as long as real time allows."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await self.stage.clock.advance(0.02)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {what}") from None

    async def told(self, n: int, state: InstanceState) -> None:
        told = self.stage.told.states
        await self.until(lambda: any(it[:2] == (n, state) for it in told), f"to be {state}")

    async def register(self, **account: object) -> int:
        """A phone of the domain, once it is registered."""
        n = await self.stage.add_phone(**account)  # type: ignore[arg-type]
        await self.told(n, InstanceState.REGISTERED)
        return n

    async def refresh(self, n: int, at: Registrar) -> None:
        """Make the phone due, and wait until that registrar has answered it."""
        await self.stage.settle()
        before = len(at.requests)
        await self.stage.store.write(timing.make_due, [n], self.stage.clock.wall())
        self.stage.registrant.wake(n)
        await self.until(lambda: len(at.requests) > before, "a REGISTER at that registrar")
        await self.stage.settle()


@asynccontextmanager
async def a_land(
    folder: Path, clock: ManualClock, names: Names, registrar: Registrar
) -> AsyncIterator[Land]:
    async with staged(folder, clock, registrar, names=names.resolver) as stage:
        yield Land(stage, names)


def port_of(registrar: Registrar) -> int:
    return registrar.target.port


class TestDeadServers:
    """A registrant that is told of several servers, some of them dead."""

    @pytest.fixture
    async def first(self, clock: ManualClock) -> AsyncIterator[Registrar]:
        async with registrar_on(clock) as running:
            yield running

    @pytest.fixture
    async def second(self, clock: ManualClock) -> AsyncIterator[Registrar]:
        async with registrar_on(clock, host="127.0.0.2") as running:
            yield running

    @pytest.fixture
    async def land(
        self, tmp_path: Path, clock: ManualClock, names: Names, first: Registrar
    ) -> AsyncIterator[Land]:
        async with a_land(tmp_path, clock, names, first) as land:
            yield land

    def pair(self, first: Registrar, second: Registrar) -> list[str]:
        return [
            srv(UDP, "one.example", port_of(first), priority=1),
            srv(UDP, "two.example", port_of(second), priority=2),
            host("one.example", "127.0.0.1"), host("two.example", "127.0.0.2"),
        ]  # fmt: skip

    async def test_a_silent_server_is_left_for_the_next(
        self, land: Land, names: Names, second: Registrar
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.3", 0))
            mute.settimeout(0)
            await names.serve(
                srv(UDP, "mute.example", mute.getsockname()[1], priority=1),
                srv(UDP, "two.example", port_of(second), priority=2),
                host("mute.example", "127.0.0.3"), host("two.example", "127.0.0.2"),
            )  # fmt: skip
            await land.register()
            assert mute.recv(65_536).startswith(b"REGISTER")
        assert len(second.bindings) == 1

    async def test_a_server_that_refuses_connections_is_left_for_the_next(
        self, land: Land, names: Names, clock: ManualClock
    ) -> None:
        async with registrar_on(clock, TCP, "127.0.0.2") as over_tcp:
            await names.serve(
                naptr(1, 1, TCP),
                srv(TCP, "closed.example", free_port_pair(), priority=1),
                srv(TCP, "two.example", port_of(over_tcp), priority=2),
                host("closed.example", "127.0.0.3"), host("two.example", "127.0.0.2"),
            )  # fmt: skip
            await land.register()
            assert len(over_tcp.bindings) == 1

    async def test_a_register_fails_over_to_the_second_server_and_comes_back(
        self, land: Land, names: Names, first: Registrar, second: Registrar
    ) -> None:
        await names.serve(*self.pair(first, second))
        n = await land.register()
        assert (len(first.bindings), len(second.bindings)) == (1, 0)
        first.script = [silence] * 100
        await land.refresh(n, at=second)
        assert len(second.bindings) == 1
        first.script.clear()
        at_second = len(second.requests)
        await land.refresh(n, at=first)
        assert len(second.requests) == at_second

    async def test_a_moved_server_is_found_after_the_ttl_and_not_before(
        self, land: Land, names: Names, first: Registrar, second: Registrar
    ) -> None:
        way = [srv(UDP, "edge.example", port_of(first)), host("edge.example", "127.0.0.1")]
        moved = [srv(UDP, "edge.example", port_of(second)), host("edge.example", "127.0.0.2")]
        await names.serve(*way, naptr(1, 1, UDP), ttl=1800)
        n = await land.register()
        await names.serve(*moved, naptr(1, 1, UDP), ttl=1800)
        await land.refresh(n, at=first)
        assert second.requests == []
        await land.stage.clock.advance(1800)
        await land.refresh(n, at=second)

    async def test_a_domain_that_has_vanished_is_an_error_of_the_account_until_it_is_back(
        self, land: Land, names: Names, first: Registrar, second: Registrar
    ) -> None:
        await names.serve()
        n = await land.stage.add_phone()
        await land.told(n, InstanceState.ERROR)
        row = await land.stage.row(n)
        assert (row.state, row.reason) == (InstanceState.ERROR, "unreachable")
        assert row.next_attempt_at is not None
        await names.serve(*self.pair(first, second))
        await land.told(n, InstanceState.REGISTERED)
        assert len(first.bindings) == 1


@pytest.mark.timeout(90)
async def test_a_live_server_turns_to_the_second_registrar_and_back_and_calls_follow(
    tmp_path: Path, dnsmasq: Dnsmasq
) -> None:
    async with AsyncExitStack() as open_, a_town(tmp_path) as town:
        first, second = [
            await open_.enter_async_context(Provider(DOMAIN, listeners=[f"udp:127.0.0.{n}:0"]))
            for n in (2, 3)
        ]
        for provider in (first, second):
            provider.add("alice", "password of alice")
            provider.registrar.habits.longest_grant = 10
        dnsmasq.serve([
            srv(UDP, "one.example", first.port(), priority=1),
            srv(UDP, "two.example", second.port(), priority=2),
            host("one.example", "127.0.0.2"), host("two.example", "127.0.0.3"),
        ])  # fmt: skip
        await town.serve(sip={"nameservers": [dnsmasq.address]})

        first.registrar.habits.silent = True
        town.provider = second
        phone = await town.asleep(account={"registrar": None})
        assert first.registrar.accepted.items == []
        caller, _ = await town.talk(phone)
        assert (await caller.bye()).status == 200
        phone.sleep()

        first.registrar.habits.silent = False
        await first.registrar.accepted.next()
        town.provider = first
        caller, _ = await town.talk(phone)
        assert (await caller.bye()).status == 200
        await town.stop()
