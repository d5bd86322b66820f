import pytest

from sipis.clock import ManualClock
from sipis.push.pulse import IDLE, PATIENCE, PENDING, Pulse


class Peer:
    def __init__(self, clock: ManualClock) -> None:
        self.pings: list[float] = []
        self.silent: list[float] = []
        self.began = clock.monotonic()
        self.pulse = Pulse(
            clock,
            ping=lambda: self.pings.append(clock.monotonic() - self.began),
            silent=lambda: self.silent.append(clock.monotonic() - self.began),
        )
        self.pulse.start()


@pytest.fixture
def peer(clock: ManualClock) -> Peer:
    return Peer(clock)


async def test_an_idle_connection_is_pinged_after_a_minute(peer: Peer, clock: ManualClock) -> None:
    await clock.advance(IDLE - 0.1)
    assert peer.pings == []
    await clock.advance(0.1)
    assert peer.pings == [IDLE]


async def test_a_pending_request_makes_three_quiet_seconds_enough(
    peer: Peer, clock: ManualClock
) -> None:
    peer.pulse.busy(pending=True)
    await clock.advance(PENDING)
    assert peer.pings == [PENDING]


async def test_a_peer_that_answers_nothing_is_silent(peer: Peer, clock: ManualClock) -> None:
    peer.pulse.busy(pending=True)
    await clock.advance(PENDING + PATIENCE)
    assert peer.silent == [PENDING + PATIENCE]
    await clock.advance(10 * IDLE)
    assert len(peer.pings) == len(peer.silent) == 1


async def test_any_sign_of_life_counts_as_the_answer(peer: Peer, clock: ManualClock) -> None:
    peer.pulse.busy(pending=True)
    await clock.advance(PENDING + 1)
    peer.pulse.heard()
    await clock.advance(PATIENCE)
    assert peer.silent == []


async def test_a_busy_connection_is_never_pinged(peer: Peer, clock: ManualClock) -> None:
    peer.pulse.busy(pending=True)
    for _ in range(50):
        await clock.advance(PENDING / 2)
        peer.pulse.heard()
    assert peer.pings == []


async def test_when_nothing_is_pending_any_more_a_minute_is_enough_again(
    peer: Peer, clock: ManualClock
) -> None:
    peer.pulse.busy(pending=True)
    peer.pulse.heard()
    peer.pulse.busy(pending=False)
    await clock.advance(IDLE - 1)
    assert peer.pings == []


async def test_a_stopped_pulse_leaves_no_alarm(peer: Peer, clock: ManualClock) -> None:
    peer.pulse.stop()
    assert clock.next_alarm() is None
