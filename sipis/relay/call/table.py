"""The table of the call machine: (state, kind of event) → (actions, next state).

What is not in the table is ignored: it comes too late or changes nothing. A call that the table
sends to OVER while an INVITE to the app lacks its final response waits in CLEARING first.

    WAKING    the push is under way, nobody has reacted (T1)
    CALLING   an INVITE is out to an app that was connected, nobody has reacted (T1)
    AWAITED   a device has reacted, no INVITE is out (T2)
    RINGING   a device has reacted, an INVITE is out (T2)
    ANSWERED  the 200 is out to the provider, its ACK is not here yet
    PARTING   as ANSWERED, but the app has already hung up
    TALKING   both dialogs stand
    CLEARING  the provider has its final response, the app owes one to a cancelled INVITE
    OVER      nothing is owed to anybody

Refuses conditions: what depends on more than state and kind was told apart before (machine.py).
"""

from enum import Enum
from typing import Final

from sipis.relay.call import actions as a
from sipis.relay.call.events import Kind, Timer


class State(Enum):
    """Where a call stands."""

    NEW = "new"
    WAKING = "waking"
    CALLING = "calling"
    AWAITED = "awaited"
    RINGING = "ringing"
    ANSWERED = "answered"
    PARTING = "parting"
    TALKING = "talking"
    CLEARING = "clearing"
    OVER = "over"


Row = tuple[tuple[a.Action, ...], State]

TIMERS: Final[dict[State, frozenset[Timer]]] = {
    State.NEW: frozenset(),
    State.WAKING: frozenset({Timer.REACT, Timer.REPEAT}),
    State.CALLING: frozenset({Timer.REACT, Timer.REPEAT, Timer.SILENCE}),
    State.AWAITED: frozenset({Timer.ANSWER, Timer.REPEAT}),
    State.RINGING: frozenset({Timer.ANSWER, Timer.REPEAT, Timer.SILENCE}),
    State.ANSWERED: frozenset({Timer.LONGEST}),
    State.PARTING: frozenset({Timer.LONGEST}),
    State.TALKING: frozenset({Timer.LONGEST}),
    State.CLEARING: frozenset({Timer.CLEAR}),
    State.OVER: frozenset(),
}
"""The timers that may run in a state; entering it stops all others."""

_NOBODY_YET = (State.WAKING, State.CALLING)
_WITH_INVITE = (State.CALLING, State.RINGING)
_BEFORE_ANSWER = (State.WAKING, State.CALLING, State.AWAITED, State.RINGING)

TABLE: Final[dict[tuple[State, Kind], Row]] = {
    (State.NEW, Kind.CALLED_ASLEEP): (
        (a.try_, a.push, a.remember, a.alert, a.await_reaction), State.WAKING),
    (State.NEW, Kind.CALLED_QUIET): (
        (a.try_, a.push, a.invite_app, a.remember, a.alert, a.await_reaction), State.CALLING),
    (State.NEW, Kind.CALLED_CONNECTED): (
        (a.try_, a.invite_app, a.remember, a.alert, a.await_reaction), State.CALLING),
    (State.NEW, Kind.RESUMED): ((a.resume, a.limit_length), State.TALKING),

    (State.WAKING, Kind.PUSH_FAILED): ((a.note_push_failed, a.refuse_unreachable), State.OVER),
    (State.WAKING, Kind.CAME): (
        (a.await_answer, a.tell_device, a.invite_app), State.RINGING),
    (State.WAKING, Kind.ACCEPT): ((a.await_answer, a.tell_device), State.AWAITED),

    (State.CALLING, Kind.PUSH_FAILED): ((a.note_push_failed,), State.CALLING),
    (State.CALLING, Kind.SILENCE_UNPUSHED): ((a.note_overdue, a.push), State.CALLING),
    (State.CALLING, Kind.SILENCE_ELAPSED): ((a.note_overdue,), State.CALLING),
    (State.CALLING, Kind.CAME): (
        (a.await_answer, a.tell_device, a.note_renewed), State.RINGING),
    (State.CALLING, Kind.CAME_OVERDUE): (
        (a.await_answer, a.tell_device, a.cancel_app, a.invite_app), State.RINGING),
    (State.CALLING, Kind.ACCEPT): ((a.await_answer, a.tell_device), State.RINGING),
    (State.CALLING, Kind.RANG): ((a.hear, a.await_answer, a.tell_device), State.RINGING),
    (State.CALLING, Kind.LOST): ((), State.WAKING),
    (State.CALLING, Kind.LOST_UNPUSHED): ((a.push,), State.WAKING),
    (State.CALLING, Kind.LOST_HOPELESS): ((a.refuse_unreachable,), State.OVER),

    (State.AWAITED, Kind.PUSH_FAILED): ((a.note_push_failed,), State.AWAITED),
    (State.AWAITED, Kind.CAME): ((a.invite_app,), State.RINGING),

    (State.RINGING, Kind.PUSH_FAILED): ((a.note_push_failed,), State.RINGING),
    (State.RINGING, Kind.RANG): ((a.hear,), State.RINGING),
    (State.RINGING, Kind.SILENCE_RENEWED): ((a.cancel_app, a.invite_app), State.RINGING),
    (State.RINGING, Kind.SILENCE_UNPUSHED): ((a.note_overdue, a.push), State.RINGING),
    (State.RINGING, Kind.SILENCE_ELAPSED): ((a.note_overdue,), State.RINGING),
    (State.RINGING, Kind.CAME): ((a.note_renewed,), State.RINGING),
    (State.RINGING, Kind.CAME_OVERDUE): ((a.cancel_app, a.invite_app), State.RINGING),
    (State.RINGING, Kind.LOST): ((), State.AWAITED),
    (State.RINGING, Kind.LOST_RENEWED): ((a.invite_app,), State.RINGING),
    (State.RINGING, Kind.LOST_UNPUSHED): ((a.push,), State.AWAITED),
    (State.RINGING, Kind.LOST_HOPELESS): ((), State.AWAITED),

    **{(state, Kind.PUSH_ACCEPTED): ((a.tell_sent,), state) for state in _BEFORE_ANSWER},
    **{(state, Kind.REPEAT_ELAPSED): ((a.ring_again,), state) for state in _BEFORE_ANSWER},

    **{(state, Kind.REACT_ELAPSED): (
        (a.refuse_unanswered, a.cancel_app, a.tell_missed), State.OVER)
       for state in _NOBODY_YET},
    (State.AWAITED, Kind.ANSWER_ELAPSED): (
        (a.refuse_unanswered, a.tell_missed), State.OVER),
    (State.RINGING, Kind.ANSWER_ELAPSED): (
        (a.refuse_unanswered, a.cancel_app, a.tell_missed), State.OVER),

    **{(state, kind): (
        (a.refuse_cancelled, a.cancel_app, a.tell_ending), State.OVER)
       for state in _BEFORE_ANSWER for kind in (Kind.CANCEL, Kind.PROVIDER_BYE)},
    **{(state, Kind.DECLINE): (
        (a.refuse_declined, a.cancel_app, a.stop_push), State.OVER)
       for state in _BEFORE_ANSWER},
    **{(state, Kind.GONE): (
        (a.refuse_unreachable, a.cancel_app, a.stop_push), State.OVER)
       for state in _BEFORE_ANSWER},
    **{(state, Kind.DRAINED): (
        (a.refuse_stopping, a.cancel_app, a.tell_missed), State.OVER)
       for state in _BEFORE_ANSWER},

    **{(state, Kind.ANSWERED): ((a.stop_push, a.answer, a.limit_length), State.ANSWERED)
       for state in _WITH_INVITE},
    **{(state, Kind.DECLINED): ((a.refuse_declined, a.stop_push), State.OVER)
       for state in _WITH_INVITE},
    **{(state, Kind.REFUSED): ((a.refuse_as_app, a.stop_push), State.OVER)
       for state in _WITH_INVITE},

    (State.ANSWERED, Kind.ACK): ((a.ack_app,), State.TALKING),
    (State.ANSWERED, Kind.ACK_MISSING): (
        (a.ack_app, a.bye_app, a.bye_provider), State.OVER),
    (State.ANSWERED, Kind.PROVIDER_BYE): ((a.ack_app, a.bye_app), State.OVER),
    (State.ANSWERED, Kind.APP_BYE): ((a.ack_app,), State.PARTING),
    (State.PARTING, Kind.ACK): ((a.bye_provider,), State.OVER),
    (State.PARTING, Kind.ACK_MISSING): ((a.bye_provider,), State.OVER),
    (State.PARTING, Kind.PROVIDER_BYE): ((), State.OVER),

    (State.TALKING, Kind.PROVIDER_BYE): ((a.bye_app,), State.OVER),
    (State.TALKING, Kind.APP_BYE): ((a.bye_provider,), State.OVER),
    (State.TALKING, Kind.PROVIDER_LOST): ((a.bye_app, a.bye_provider), State.OVER),
    (State.TALKING, Kind.APP_LOST): ((a.bye_provider, a.bye_app), State.OVER),
    (State.TALKING, Kind.LONGEST_ELAPSED): ((a.bye_provider, a.bye_app), State.OVER),

    (State.CLEARING, Kind.ANSWERED): ((a.ack_app, a.bye_app), State.OVER),
    (State.CLEARING, Kind.CLEAR_ELAPSED): ((a.abandon_app, a.tell_untold), State.OVER),
    **{(State.CLEARING, kind): ((a.tell_untold,), State.OVER)
       for kind in (Kind.LOST, Kind.LOST_RENEWED, Kind.LOST_UNPUSHED, Kind.LOST_HOPELESS)},
    **{(State.CLEARING, kind): ((a.note_told,), State.OVER)
       for kind in (Kind.DECLINED, Kind.REFUSED)},

    **{(state, Kind.STALE_ANSWERED): ((a.end_stale,), state)
       for state in (*_BEFORE_ANSWER, State.ANSWERED, State.PARTING, State.TALKING)},
    (State.CLEARING, Kind.STALE_ANSWERED): ((a.end_stale,), State.OVER),
}  # fmt: skip
"""Every transition; tests walk each of them."""
