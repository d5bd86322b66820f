"""Keep-alive for each flow: intervals, pongs, and flows that nobody needs any more."""

from dataclasses import dataclass, field

import pytest

from sipis.clock import ManualClock
from sipis.sip.flow import Door, Flow, Transport
from sipis.transport.keepalive import KeepAlive
from tests.support.transport import counting_entropy


def flow(transport: Transport, number: int = 1) -> Flow:
    return Flow(number, Door.PROVIDER, transport, ("127.0.0.1", 5060), ("127.0.0.1", 5080))


UDP, TCP = flow(Transport.UDP), flow(Transport.TCP, 2)


@dataclass
class Line:
    """Flows that note the moment of each ping and may answer it."""

    clock: ManualClock
    alive: bool = True
    pings: list[float] = field(default_factory=list)
    failed: list[Flow] = field(default_factory=list)
    heard: float = float("-inf")

    def __post_init__(self) -> None:
        self.keepalive = KeepAlive(
            self.clock,
            counting_entropy(),
            ping=self.ping,
            fail=self.failed.append,
            heard=lambda _: self.heard,
        )

    def ping(self, pinged: Flow) -> None:
        self.pings.append(self.clock.monotonic())
        if self.alive and pinged.transport.reliable:
            self.heard = self.clock.monotonic()
            self.keepalive.pong(pinged)

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.pings, self.pings[1:], strict=False)]


@pytest.fixture
def line(clock: ManualClock) -> Line:
    return Line(clock)


async def test_a_udp_flow_in_use_is_pinged_within_the_life_of_a_nat_binding(
    line: Line, clock: ManualClock
) -> None:
    line.keepalive.hold(UDP, 3600)
    await clock.advance(600)
    assert 20 <= len(line.pings) <= 24
    assert all(25 <= gap <= 29 for gap in line.gaps())


async def test_a_stream_in_use_is_pinged_every_two_minutes(line: Line, clock: ManualClock) -> None:
    line.keepalive.hold(TCP, 3600)
    await clock.advance(1200)
    assert all(94.9 <= gap <= 120 for gap in line.gaps())
    assert len(line.pings) >= 10
    assert line.failed == []


async def test_the_flow_timer_of_the_server_sets_the_pace(line: Line, clock: ManualClock) -> None:
    line.keepalive.hold(TCP, 3600, flow_timer=40)
    await clock.advance(1200)
    assert all(31.9 <= gap <= 40 for gap in line.gaps()[1:])


async def test_an_absurd_flow_timer_is_ignored(line: Line, clock: ManualClock) -> None:
    line.keepalive.hold(TCP, 3600, flow_timer=0)
    await clock.advance(1200)
    assert len(line.pings) < 14


async def test_a_peer_that_stops_answering_fails_its_flow_after_ten_seconds(
    line: Line, clock: ManualClock
) -> None:
    line.keepalive.hold(TCP, 3600)
    await clock.advance(130)
    assert len(line.pings) == 1
    line.alive = False
    await clock.advance(300)
    assert line.failed == [TCP]
    assert len(line.pings) == 2


async def test_traffic_of_any_kind_stands_for_the_pong(line: Line, clock: ManualClock) -> None:
    line.keepalive.hold(TCP, 3600)
    await clock.advance(130)
    line.alive, line.heard = False, float("inf")
    await clock.advance(600)
    assert line.failed == []


async def test_a_server_that_never_promised_a_pong_is_not_failed_for_none(
    line: Line, clock: ManualClock
) -> None:
    line.alive = False
    line.keepalive.hold(TCP, 3600)
    await clock.advance(1200)
    assert line.failed == []
    assert len(line.pings) >= 9


async def test_a_flow_is_let_go_when_nobody_holds_it_any_more(
    line: Line, clock: ManualClock
) -> None:
    line.keepalive.hold(UDP, 100)
    assert line.keepalive.holds(UDP)
    await clock.advance(100)
    assert not line.keepalive.holds(UDP)
    pings = len(line.pings)
    await clock.advance(600)
    assert len(line.pings) == pings
    assert line.keepalive._due == []


async def test_holding_again_extends_and_never_shortens(line: Line, clock: ManualClock) -> None:
    line.keepalive.hold(UDP, 1000)
    line.keepalive.hold(UDP, 10)
    await clock.advance(500)
    assert line.keepalive.holds(UDP)
    line.keepalive.hold(UDP, 1000)
    await clock.advance(999)
    assert line.keepalive.holds(UDP)
    assert all(gap >= 25 for gap in line.gaps())


async def test_a_flow_that_is_gone_is_not_pinged(line: Line, clock: ManualClock) -> None:
    line.keepalive.hold(TCP, 3600)
    line.keepalive.hold(UDP, 3600)
    line.keepalive.forget(TCP)
    line.keepalive.stop()
    await clock.advance(600)
    assert line.pings == []


async def test_many_flows_share_one_alarm(line: Line, clock: ManualClock) -> None:
    for number in range(100):
        line.keepalive.hold(flow(Transport.UDP, number), 3600)
    await clock.advance(60)
    assert 200 <= len(line.pings) <= 240
    armed = [alarm for _, _, alarm in clock._alarms if not alarm.cancelled]
    assert len(armed) == 1
