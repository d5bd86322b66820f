from sipis.clock import ManualClock
from sipis.push.circuit import FIRST_PAUSE, LONGEST_PAUSE, Circuit
from sipis.push.outcome import Accepted, Misconfigured, Retry

WRONG_KEY = Misconfigured("InvalidProviderToken")


def test_a_wrong_key_opens_it(clock: ManualClock) -> None:
    circuit = Circuit(clock)
    assert circuit.lets_through()
    assert circuit.learn(WRONG_KEY)
    assert circuit.open
    assert not circuit.lets_through()


def test_the_fault_of_one_target_does_not(clock: ManualClock) -> None:
    circuit = Circuit(clock)
    assert not circuit.learn(Misconfigured("DeviceTokenNotForTopic", whole_app=False))
    assert circuit.lets_through()


async def test_after_a_pause_one_push_is_the_probe(clock: ManualClock) -> None:
    circuit = Circuit(clock)
    circuit.learn(WRONG_KEY)
    await clock.advance(FIRST_PAUSE)
    assert circuit.lets_through()
    assert not circuit.lets_through()
    assert circuit.learn(Accepted())
    assert not circuit.open
    assert circuit.lets_through()


async def test_a_failed_probe_waits_twice_as_long_up_to_a_limit(clock: ManualClock) -> None:
    circuit = Circuit(clock)
    pause = FIRST_PAUSE
    for _ in range(8):
        circuit.learn(WRONG_KEY)
        await clock.advance(pause - 0.1)
        assert not circuit.lets_through()
        await clock.advance(0.1)
        assert circuit.lets_through()
        pause = min(pause * 2, LONGEST_PAUSE)


async def test_a_probe_without_an_answer_leaves_the_next_one_a_chance(clock: ManualClock) -> None:
    circuit = Circuit(clock)
    circuit.learn(WRONG_KEY)
    await clock.advance(FIRST_PAUSE)
    assert circuit.lets_through()
    circuit.learn(Retry("connect"))
    assert circuit.open
    assert circuit.lets_through()
    circuit.abandon_probe()
    assert circuit.lets_through()


def test_changed_keys_close_it_at_once(clock: ManualClock) -> None:
    circuit = Circuit(clock)
    circuit.learn(WRONG_KEY)
    circuit.close()
    assert circuit.lets_through()
