import pytest

from sipis.sip.timers import DURATIONS, PACE, Timer
from sipis.sip.transaction import (
    CLIENT_CANCEL,
    CLIENT_INVITE,
    CLIENT_REQUEST,
    SERVER_INVITE,
    SERVER_REQUEST,
    Action,
    Input,
    State,
    Table,
)

TABLES = {
    "client INVITE": CLIENT_INVITE,
    "client request": CLIENT_REQUEST,
    "client CANCEL": CLIENT_CANCEL,
    "server INVITE": SERVER_INVITE,
    "server request": SERVER_REQUEST,
}

every_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())


def reachable(table: Table) -> set[State]:
    known = {State.NEW}
    while True:
        more = {new for (old, _), (_, new) in table.items() if old in known} - known
        if not more:
            return known
        known |= more


def timers_of(table: Table) -> set[Timer]:
    return {action for actions, _ in table.values() for action in actions if action in set(Timer)}  # type: ignore[misc]


def limits_on_entry(table: Table, state: State) -> list[Timer | None]:
    """The last limit that each way into the state sets; None where it leaves the one that ran."""
    found: list[Timer | None] = []
    for (old, _), (actions, new) in table.items():
        if new is state and old is not state:
            limits = [a for a in actions if isinstance(a, Timer) and a not in PACE]
            found.append(limits[-1] if limits else None)
    return found


@every_table
def test_every_state_with_rows_is_reachable_and_nothing_follows_the_end(table: Table) -> None:
    states = {state for state, _ in table}
    assert states | {State.TERMINATED} == reachable(table)
    assert State.TERMINATED not in states


@every_table
def test_every_timer_that_is_set_is_awaited_and_the_other_way_round(table: Table) -> None:
    assert timers_of(table) == {what for _, what in table if isinstance(what, Timer)}


@every_table
def test_every_state_can_come_to_an_end(table: Table) -> None:
    for state in {state for state, _ in table}:
        onward = {new for (old, _), (_, new) in table.items() if old is state}
        assert onward - {state}, state


@every_table
def test_a_timer_that_was_set_on_the_way_into_a_state_has_a_row_there(table: Table) -> None:
    for (_, _), (actions, state) in table.items():
        for timer in (action for action in actions if isinstance(action, Timer)):
            assert (state, timer) in table, (state, timer)


@pytest.mark.parametrize(
    ("table", "free"),
    [
        (CLIENT_INVITE, {State.PROCEEDING}),
        (CLIENT_REQUEST, set()),
        (SERVER_INVITE, set()),
        (SERVER_REQUEST, set()),
    ],
    ids=["client INVITE", "client request", "server INVITE", "server request"],
)
def test_a_limit_runs_in_every_state_but_while_a_callee_is_being_alerted(
    table: Table, free: set[State]
) -> None:
    """A state has a limit of its own, or keeps one of the state before and awaits it."""
    for state in {state for state, _ in table} - {State.NEW} - free:
        awaited = {w for s, w in table if s is state and isinstance(w, Timer) and w not in PACE}
        assert awaited, state
        for limit in limits_on_entry(table, state):
            assert limit is None or limit in awaited


@pytest.mark.parametrize("table", [CLIENT_INVITE, CLIENT_REQUEST], ids=["INVITE", "request"])
def test_a_lost_flow_ends_every_client_state_and_fails_the_unanswered(table: Table) -> None:
    for state in {state for state, _ in table} - {State.NEW}:
        actions, end = table[state, Input.FLOW_LOST]
        answered = state in (State.COMPLETED, State.ACCEPTED)
        assert (actions, end) == (() if answered else (Action.TELL_FAILURE,), State.TERMINATED)


@pytest.mark.parametrize("table", [SERVER_INVITE, SERVER_REQUEST], ids=["INVITE", "request"])
def test_a_lost_flow_changes_no_server_state(table: Table) -> None:
    assert not any(what is Input.FLOW_LOST for _, what in table)


def test_a_non_invite_server_knows_no_provisional_of_the_transaction_user() -> None:
    assert not any(what is Input.PROVISIONAL for _, what in SERVER_REQUEST)


def test_a_cancel_tells_nothing_and_else_behaves_like_any_request() -> None:
    assert CLIENT_CANCEL.keys() == CLIENT_REQUEST.keys()
    for key, (actions, state) in CLIENT_CANCEL.items():
        told, same_state = CLIENT_REQUEST[key]
        assert state is same_state
        assert actions == tuple(action for action in told if "tell" not in action)


def test_only_a_cancelled_invite_is_cancelled_and_only_after_a_provisional() -> None:
    sending = {key for key, (actions, _) in CLIENT_INVITE.items() if Action.SEND_CANCEL in actions}
    assert sending == {(State.WITHDRAWN, Input.PROVISIONAL), (State.PROCEEDING, Input.CANCEL)}


def test_inputs_actions_and_timers_share_no_word() -> None:
    words = [*map(str, Input), *map(str, Action), *map(str, Timer)]
    assert len(words) == len(set(words))
    assert set(DURATIONS) == set(Timer)
