from typing import Final

import pytest

from sipis.sip.events import RequestTimedOut
from sipis.sip.flow import Flow
from sipis.sip.machine import Machine, Outlet, Transaction, TransactionWheel
from sipis.sip.message import Message
from sipis.sip.timers import T1, T2, Timer
from sipis.sip.transaction import Action, Input, State, Table

SAMPLE: Final[Table] = {
    (State.NEW, Input.START): ((Action.SEND, Timer.E, Timer.F), State.TRYING),
    (State.TRYING, Timer.E): ((Action.SEND, Timer.E), State.TRYING),
    (State.TRYING, Timer.F): ((Action.TELL_TIMEOUT,), State.TERMINATED),
    (State.TRYING, Input.SUCCESS): ((Action.HUSH, Timer.K), State.COMPLETED),
    (State.TRYING, Input.REFUSAL): ((Action.RELAX,), State.PROCEEDING),
    (State.COMPLETED, Timer.K): ((), State.TERMINATED),
}


class Sample(Transaction):
    __slots__ = ()

    table = SAMPLE


class Bench(Machine[Sample]):
    """A machine of its own with one action that it carries out itself."""

    def __init__(self) -> None:
        self.wheel = TransactionWheel()
        self.outlet = Outlet()
        super().__init__(self.wheel, self.outlet, {Action.TELL_TIMEOUT: self._tell})

    def begin(self, flow: Flow, now: float = 0.0) -> Sample:
        transaction = Sample("id", flow, b"request")
        self._begin(transaction, now)
        return transaction

    def expire(self, now: float) -> list[Timer]:
        expired = []
        for entry in self.wheel.expire(now):
            assert isinstance(entry.owner, Sample)
            expired.append(entry.timer)
            self.step(entry.owner, entry.timer, now)
        return expired

    def _tell(self, transaction: Sample, _now: float, _message: Message | None) -> None:
        self.outlet.tell(RequestTimedOut(transaction.id))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_row_acts_and_sets_both_timers(bench: Bench, udp: Flow) -> None:
    transaction = bench.begin(udp)
    assert transaction.state is State.TRYING
    assert bench.outlet.datagrams == [(b"request", udp)]
    assert transaction.pace is not None
    assert transaction.limit is not None
    assert (transaction.pace.timer, transaction.limit.timer) == (Timer.E, Timer.F)


def test_what_has_no_row_changes_nothing(bench: Bench, udp: Flow) -> None:
    transaction = bench.begin(udp)
    bench.step(transaction, Input.ACK, 0.0)
    assert transaction.state is State.TRYING
    assert len(bench.outlet.datagrams) == 1


def test_the_interval_of_a_pace_doubles_up_to_its_longest(bench: Bench, udp: Flow) -> None:
    bench.begin(udp)
    moments, now = [], 0.0
    while now < 20:
        now = bench.wheel.next_deadline() or 99
        bench.expire(now)
        moments.append(now)
    gaps = [b - a for a, b in zip([0.0, *moments], moments, strict=False)]
    assert gaps == pytest.approx([T1, 2 * T1, 4 * T1, T2, T2, T2, T2, T2])


def test_a_limit_takes_the_place_of_the_one_before(bench: Bench, udp: Flow) -> None:
    transaction = bench.begin(udp)
    bench.step(transaction, Input.SUCCESS, 1.0)
    assert len(bench.wheel) == 1
    assert bench.expire(6.0) == [Timer.K]


def test_hush_and_relax_each_stop_their_own_timer(bench: Bench, udp: Flow) -> None:
    transaction = bench.begin(udp)
    bench.step(transaction, Input.REFUSAL, 1.0)
    assert transaction.limit is None
    assert transaction.pace is not None
    assert len(bench.wheel) == 1


def test_who_terminates_is_forgotten_with_all_timers(bench: Bench, udp: Flow) -> None:
    transaction = bench.begin(udp)
    assert len(bench) == 1
    bench.step(transaction, Timer.F, 32.0)
    assert (len(bench), len(bench.wheel)) == (0, 0)
    assert list(bench.outlet.events) == [RequestTimedOut("id")]


def test_a_reliable_flow_needs_no_repeats(bench: Bench, tcp: Flow) -> None:
    transaction = bench.begin(tcp)
    assert transaction.pace is None
    assert transaction.limit is not None


def test_on_a_reliable_flow_nothing_lingers(bench: Bench, tcp: Flow) -> None:
    transaction = bench.begin(tcp)
    bench.step(transaction, Input.SUCCESS, 1.0)
    assert transaction.state is State.TERMINATED
    assert (len(bench), len(bench.wheel)) == (0, 0)


def test_a_transaction_has_no_dictionary(udp: Flow) -> None:
    assert not hasattr(Sample("id", udp, None), "__dict__")
