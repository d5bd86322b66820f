"""Each row of the table by itself."""

from collections.abc import Callable

import pytest

from sipis.relay.call import TABLE, Call, Event, Facts, Kind, Policy, Pushed, Respond, State
from sipis.relay.call.events import FINALS
from sipis.relay.call.table import TIMERS


def _outstanding(facts: Facts) -> None:
    facts.claim = 2
    facts.unsettled = {2}
    facts.pushed = Pushed.UNDER_WAY


def _overdue(facts: Facts) -> None:
    facts.overdue = True


def _renewed(facts: Facts) -> None:
    facts.renewed = True


def _unpushed(facts: Facts) -> None:
    facts.pushed = Pushed.NOT


def _hopeless(facts: Facts) -> None:
    facts.pushed = Pushed.FAILED


def _stale(facts: Facts) -> None:
    facts.unsettled.add(1)


FOUND: dict[Kind, tuple[Event, Callable[[Facts], None]]] = {
    Kind.CAME_OVERDUE: (Event(Kind.CAME), _overdue),
    Kind.SILENCE_RENEWED: (Event(Kind.SILENCE_ELAPSED), _renewed),
    Kind.SILENCE_UNPUSHED: (Event(Kind.SILENCE_ELAPSED), _unpushed),
    Kind.LOST_RENEWED: (Event(Kind.LOST, 2), _renewed),
    Kind.LOST_UNPUSHED: (Event(Kind.LOST, 2), _unpushed),
    Kind.LOST_HOPELESS: (Event(Kind.LOST, 2), _hopeless),
    Kind.STALE_ANSWERED: (Event(Kind.ANSWERED, 1), _stale),
}


def _name(value: object) -> str:
    return value.name if isinstance(value, State | Kind) else ""


def _in_state(state: State) -> Call:
    call = Call(Policy())
    call.state = state
    if state not in {State.NEW, State.WAKING, State.AWAITED}:
        _outstanding(call.facts)
    call.facts.running = set(TIMERS[state])
    return call


@pytest.mark.parametrize(("state", "kind"), TABLE, ids=_name)
def test_a_row_leads_where_it_says(state: State, kind: Kind) -> None:
    call = _in_state(state)
    event, prepare = FOUND.get(kind, (Event(kind, 2, 486), lambda _facts: None))
    prepare(call.facts)
    call.feed(event)
    expected = TABLE[state, kind][1]
    assert call.state in ({State.OVER, State.CLEARING} if expected is State.OVER else {expected})
    assert call.facts.running <= TIMERS[call.state]


@pytest.mark.parametrize(("state", "kind"), TABLE, ids=_name)
def test_the_provider_is_refused_only_while_it_waits(state: State, kind: Kind) -> None:
    call = _in_state(state)
    event, prepare = FOUND.get(kind, (Event(kind, 2, 486), lambda _facts: None))
    prepare(call.facts)
    pending = call.pending or state is State.NEW
    refused = [one for one in call.feed(event) if isinstance(one, Respond)]
    assert pending or not refused


BEFORE_ANSWER = (State.WAKING, State.CALLING, State.AWAITED, State.RINGING)


@pytest.mark.parametrize("state", BEFORE_ANSWER, ids=_name)
@pytest.mark.parametrize("kind", [Kind.CANCEL, Kind.DECLINE, Kind.GONE, Kind.DRAINED])
def test_a_ringing_call_can_be_ended_in_each_state(state: State, kind: Kind) -> None:
    assert (state, kind) in TABLE


@pytest.mark.parametrize("state", [State.CALLING, State.RINGING, State.CLEARING])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in FINALS], ids=_name)
def test_a_final_of_the_app_counts_wherever_one_is_owed(state: State, kind: Kind) -> None:
    assert (state, kind) in TABLE


def test_nothing_follows_the_end() -> None:
    assert not [state for state, _ in TABLE if state is State.OVER]
