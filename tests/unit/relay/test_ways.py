"""Where requests inside a dialog go."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import cast

import pytest

from sipis.clock import ManualClock
from sipis.errors import RefusedAddress, TransportError
from sipis.model import InstanceId
from sipis.relay.bindings import Binding, Bindings
from sipis.relay.ports import Names, Sip
from sipis.relay.tools import Tools
from sipis.relay.ways import MOST_WAITING, AppWay, ProviderWay
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.headers import NameAddr
from sipis.sip.uri import SipUri, parse_uri
from sipis.transport.targets import Target

ORIGIN = Flow(1, Door.PROVIDER, Transport.UDP, ("127.0.0.1", 5060), ("192.0.2.1", 5060))
STREAM = Flow(2, Door.PROVIDER, Transport.TCP, ("127.0.0.1", 5060), ("192.0.2.1", 40000))
FOUND = Flow(3, Door.PROVIDER, Transport.UDP, ("127.0.0.1", 5060), ("198.51.100.7", 5062))


@dataclass
class Net:
    """A resolver and an endpoint that find what the test says."""

    trouble: Exception | None = None
    asked: list[SipUri] = field(default_factory=list)
    open: bool = True
    jobs: list[Coroutine[object, object, None]] = field(default_factory=list)

    async def resolve(self, uri: SipUri) -> list[Target]:
        self.asked.append(uri)
        if self.trouble is not None:
            raise self.trouble
        return [Target(Transport.UDP, *FOUND.remote)]

    async def flow_to(self, _target: Target, *, door: Door = Door.PROVIDER) -> Flow:
        assert door is Door.PROVIDER
        return FOUND

    def is_open(self, _flow: Flow) -> bool:
        return self.open

    def spawn(self, _name: str, job: Coroutine[object, object, None]) -> bool:
        self.jobs.append(job)
        return True

    def way(self, origin: Flow = ORIGIN) -> ProviderWay:
        return ProviderWay(cast("Sip", self), cast("Names", self), self.spawn, origin)

    async def work(self) -> None:
        await asyncio.gather(*self.jobs)
        self.jobs.clear()


def used(way: ProviderWay | AppWay) -> list[Flow]:
    flows: list[Flow] = []
    way.use(flows.append)
    return flows


async def test_without_record_route_a_request_goes_to_the_callers_own_phone() -> None:
    net = Net()
    way = net.way()
    way.follow(parse_uri("sip:bob@phone.example.net"))
    flows = used(way)
    assert flows == []
    await net.work()
    assert flows == [FOUND]
    assert used(way) == [FOUND]


async def test_a_next_hop_where_the_invite_came_from_needs_no_look_up() -> None:
    net = Net()
    way = net.way()
    way.follow(parse_uri("sip:192.0.2.1;lr"))
    assert used(way) == [ORIGIN]
    assert net.jobs == []


async def test_an_open_stream_carries_its_dialogs() -> None:
    way = Net().way(STREAM)
    way.follow(parse_uri("sip:bob@10.0.0.1"))
    assert used(way) == [STREAM]


@pytest.mark.parametrize(
    "trouble", [RefusedAddress("private"), TransportError("no name"), TimeoutError()]
)
async def test_a_next_hop_that_cannot_be_reached_leaves_the_way_back(trouble: Exception) -> None:
    net = Net(trouble)
    way = net.way()
    way.follow(parse_uri("sip:bob@10.0.0.1"))
    flows = used(way)
    await net.work()
    assert flows == [ORIGIN]


async def test_the_latest_target_counts() -> None:
    net = Net()
    way = net.way()
    way.follow(parse_uri("sip:bob@first.example"))
    way.follow(parse_uri("sip:192.0.2.1"))
    assert used(way) == [ORIGIN]
    await net.work()
    assert used(way) == [ORIGIN]


async def test_what_waits_is_bounded() -> None:
    net = Net()
    way = net.way()
    way.follow(parse_uri("sip:bob@phone.example.net"))
    flows: list[Flow] = []
    for _ in range(MOST_WAITING + 5):
        way.use(flows.append)
    await net.work()
    assert len(flows) == MOST_WAITING


def test_an_app_is_reached_on_its_newest_flow() -> None:
    tools = app_tools()
    way = AppWay(tools, 1, STREAM)
    assert used(way) == [STREAM]
    contact = NameAddr.parse("<sip:a@b>")
    until = tools.clock.monotonic() + 1
    tools.bindings.bind(Binding(1, InstanceId("0" * 32), FOUND, contact, until))
    assert used(way) == [FOUND]


def test_what_an_app_without_a_flow_would_get_waits_for_it() -> None:
    tools = app_tools()
    flows = used(AppWay(tools, 1, None))
    assert flows == []
    tools.awaited.arrived(1, FOUND, tools.clock.monotonic())
    assert flows == [FOUND]


def test_what_went_to_an_app_goes_once_more_when_it_has_moved_unless_it_is_settled() -> None:
    tools = app_tools()
    way = AppWay(tools, 1, STREAM)
    for settled in (False, True):
        flows = used(way)
        if settled:
            way.settle(flows.append)
        tools.awaited.arrived(1, FOUND, tools.clock.monotonic())
        assert flows == ([STREAM] if settled else [STREAM, FOUND])


def test_a_flow_that_is_gone_is_not_used() -> None:
    tools = app_tools(Net(open=False))
    flows = used(AppWay(tools, 1, STREAM))
    tools.awaited.arrived(1, STREAM, tools.clock.monotonic())
    assert flows == [STREAM]


def app_tools(net: Net | None = None) -> Tools:
    net = net or Net()
    return Tools(
        sip=cast("Sip", net),
        names=cast("Names", net),
        clock=ManualClock(),
        spawn=net.spawn,
        entropy=bytes,
        bindings=Bindings(),
    )
