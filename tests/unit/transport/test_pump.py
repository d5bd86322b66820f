"""The pump: order, re-entrance, one alarm."""

from dataclasses import dataclass, field

from sipis.clock import ManualClock
from sipis.sip.events import Event
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.stack import Stack
from sipis.transport.pump import Pump
from tests.support.transport import build_request, counting_entropy

FLOW = Flow(1, Door.PROVIDER, Transport.UDP, ("127.0.0.1", 5060), ("127.0.0.2", 5060))


@dataclass
class Rig:
    """A stack and a pump whose wire is a list."""

    clock: ManualClock
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        entropy = counting_entropy()
        self.stack = Stack(token=lambda: entropy(16).hex())
        self.pump = Pump(
            self.stack,
            self.clock,
            transmit=lambda data, _: self.sent.append((self.clock.monotonic(), data)),
            tell=self.tell,
        )

    def tell(self, event: Event, now: float) -> None:
        self.told.append(event)
        self.pump.run(now)

    def send(self) -> None:
        now = self.clock.monotonic()
        self.stack.send_request(build_request(), FLOW, now, via_host="127.0.0.1", via_port=5060)
        self.pump.run(now)

    def alarms(self) -> int:
        return sum(not alarm.cancelled for _, _, alarm in self.clock._alarms)


async def test_one_alarm_serves_all_transactions(clock: ManualClock) -> None:
    rig = Rig(clock)
    for _ in range(50):
        rig.send()
    assert rig.alarms() == 1
    await clock.advance(0.55)
    assert len(rig.sent) == 100
    assert rig.alarms() == 1


async def test_repeats_follow_the_timers_of_the_stack(clock: ManualClock) -> None:
    rig = Rig(clock)
    rig.send()
    await clock.advance(33)
    moments = [moment - rig.sent[0][0] for moment, _ in rig.sent]
    assert [round(moment, 1) for moment in moments[:5]] == [0.0, 0.5, 1.5, 3.5, 7.5]
    assert len(rig.told) == 1


async def test_a_handler_that_pumps_again_does_no_harm(clock: ManualClock) -> None:
    rig = Rig(clock)
    rig.send()
    rig.stack.flow_closed(FLOW, clock.monotonic())
    rig.pump.run(clock.monotonic())
    assert len(rig.told) == 1


async def test_a_lost_flow_is_reported_from_the_loop(clock: ManualClock) -> None:
    rig = Rig(clock)
    rig.send()
    rig.pump.report_lost(FLOW)
    rig.pump.report_lost(FLOW)
    assert rig.told == []
    await clock.advance(0)
    assert len(rig.told) == 1


async def test_a_stopped_pump_sends_nothing_by_itself(clock: ManualClock) -> None:
    rig = Rig(clock)
    rig.send()
    rig.pump.stop()
    await clock.advance(33)
    assert len(rig.sent) == 1
    assert rig.alarms() == 0
