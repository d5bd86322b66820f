"""The steps of the table: each notes a fact and yields the commands that follow from it.

Refuses to know states: an action does the same wherever the table calls it.
"""

from collections.abc import Callable, Iterable, Iterator

from sipis.model import CallState
from sipis.relay.call import commands as do
from sipis.relay.call.events import Event, Timer
from sipis.relay.call.facts import CLEAR_AFTER, LONGEST_CALL, Facts, Pushed, PushStatus

Action = Callable[[Facts, Event], Iterable[do.Command]]

NOT_FOR_CALLERS = frozenset({401, 404, 407, 408, 410, 484, 485, 487, 503, 604})
"""Finals of the app that would mislead a caller: challenges, silence, our own CANCEL, overload, and
those of an app that does not know itself, which would call the number unallocated (RFC 3398).
"""


def start(facts: Facts, timer: Timer, seconds: float) -> Iterator[do.Command]:
    """Run a timer from now on."""
    facts.running.add(timer)
    yield do.StartTimer(timer, seconds)


def stop(facts: Facts, timer: Timer) -> Iterator[do.Command]:
    """Call a timer off if it runs."""
    if timer in facts.running:
        facts.running.discard(timer)
        yield do.StopTimer(timer)


# Toward the provider


def try_(_facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Say at once that the INVITE has arrived."""
    yield do.Respond(100)


def remember(_facts: Facts, _event: Event) -> Iterator[do.Command]:
    """From now on a waking phone can ask about the call."""
    yield do.Record(CallState.RINGING)


def alert(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Let the caller hear ringing from the start, if that is the policy."""
    if facts.policy.ring == "now":
        yield from _show(facts, PushStatus.ALERTING)


def tell_sent(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """A push service has taken the push."""
    facts.pushed = Pushed.ACCEPTED
    if facts.policy.ring != "device":
        yield from _show(facts, PushStatus.SENT)


def tell_device(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """A device has given a sign."""
    yield from _show(facts, PushStatus.PROGRESS)


def ring_again(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Repeat the last 180."""
    yield _ringing(facts)
    yield from start(facts, Timer.REPEAT, facts.policy.repeat_every)


def _show(facts: Facts, status: PushStatus) -> Iterator[do.Command]:
    if status <= facts.shown:
        return
    first = facts.shown is PushStatus.NONE
    facts.shown = status
    if first or facts.policy.progress:
        yield _ringing(facts)
        yield from start(facts, Timer.REPEAT, facts.policy.repeat_every)


def _ringing(facts: Facts) -> do.Respond:
    return do.Respond(180, push_status=facts.shown.text if facts.policy.progress else None)


def answer(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """The app has answered: so have we."""
    yield do.Answer(facts.claim)
    yield do.Record(CallState.ANSWERED)


def refuse_unanswered(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Nobody answered; the provider's voicemail may take over."""
    yield do.Respond(facts.policy.no_answer_status, reason="No-Response-From-Device")
    yield do.Record(CallState.MISSED)


def refuse_unreachable(_facts: Facts, _event: Event) -> Iterator[do.Command]:
    """No device can be reached."""
    yield do.Respond(480, reason="No-Device-Reachable")
    yield do.Record(CallState.MISSED)


def refuse_stopping(_facts: Facts, _event: Event) -> Iterator[do.Command]:
    """The server stops before anybody answered."""
    yield do.Respond(480, reason="Server-Stopping")
    yield do.Record(CallState.MISSED)


def refuse_declined(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """The person said no."""
    yield do.Respond(facts.policy.decline_status)
    yield do.Record(CallState.DECLINED)


def refuse_as_app(_facts: Facts, event: Event) -> Iterator[do.Command]:
    """The app cannot take the call; its reason passes where it makes sense to a caller."""
    sensible = event.status >= 400 and event.status not in NOT_FOR_CALLERS
    yield do.Respond(event.status if sensible else 480, relayed=sensible)
    yield do.Record(CallState.MISSED)


def refuse_cancelled(_facts: Facts, event: Event) -> Iterator[do.Command]:
    """The caller gave up, or another device of the person took the call (RFC 3261 9.2)."""
    yield do.Respond(487)
    yield do.Record(event.ending)


def bye_provider(_facts: Facts, _event: Event) -> Iterator[do.Command]:
    """End the provider's dialog."""
    yield do.ByeProvider()


# Toward the push services


def push(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Wake the app."""
    facts.pushed = Pushed.UNDER_WAY
    yield do.Push()


def note_push_failed(facts: Facts, _event: Event) -> Iterable[do.Command]:
    """No target could be reached; an open flow may still do."""
    facts.pushed = Pushed.FAILED
    return ()


def tell_missed(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """A phone that never answered our INVITE learns by push that it missed the call."""
    yield from _tell_end(facts, CallState.MISSED)


def tell_ending(facts: Facts, event: Event) -> Iterator[do.Command]:
    """A phone that has not seen our INVITE would ring on for ever after a CANCEL."""
    yield from _tell_end(facts, event.ending)


def stop_push(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """What still waits to be pushed is no longer wanted."""
    if facts.pushed is Pushed.UNDER_WAY:
        yield do.StopPush()


def tell_untold(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """The CANCEL was never answered: it may have gone down with a flow that died in silence."""
    if facts.untold is not None:
        yield do.TellEnd(facts.untold)


def note_told(facts: Facts, _event: Event) -> Iterable[do.Command]:
    """The app has given its last word, so that it knows."""
    facts.untold = None
    return ()


def _tell_end(facts: Facts, outcome: CallState) -> Iterator[do.Command]:
    if facts.pushed is Pushed.UNDER_WAY:
        yield do.StopPush()
    if facts.heard and not facts.renewed:
        facts.untold = outcome
    else:
        yield do.TellEnd(outcome)


# Toward the app


def invite_app(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Call the app on its newest flow."""
    facts.claim += 1
    facts.unsettled.add(facts.claim)
    facts.heard = facts.overdue = facts.renewed = False
    yield do.InviteApp(facts.claim)
    yield from start(facts, Timer.SILENCE, facts.policy.silence_timeout)


def resume(facts: Facts, event: Event) -> Iterable[do.Command]:
    """Take up a call that was answered before the server was started again."""
    facts.claim = event.claim
    return ()


def cancel_app(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Take the INVITE to the app back, if it still has no final response."""
    if facts.claim in facts.unsettled:
        yield do.CancelApp(facts.claim)


def note_renewed(facts: Facts, _event: Event) -> Iterable[do.Command]:
    """The app has come again; its INVITE stays where it is as long as that lives."""
    facts.renewed = True
    return ()


def note_overdue(facts: Facts, _event: Event) -> Iterable[do.Command]:
    """The INVITE should have been answered by something by now."""
    facts.overdue = True
    return ()


def hear(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """The app has the INVITE."""
    facts.heard, facts.overdue = True, False
    yield from stop(facts, Timer.SILENCE)


def ack_app(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Acknowledge the app's answer."""
    yield do.AckApp(facts.claim)


def bye_app(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """End the app's dialog."""
    yield do.ByeApp(facts.claim)


def end_stale(_facts: Facts, event: Event) -> Iterator[do.Command]:
    """An INVITE that was given up was answered after all: acknowledge, then end it."""
    yield do.AckApp(event.claim)
    yield do.ByeApp(event.claim)


def abandon_app(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Wait no longer for finals that never came."""
    for claim in sorted(facts.unsettled):
        yield do.AbandonApp(claim)
    facts.unsettled.clear()


# Time


def await_reaction(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """T1 starts."""
    yield from start(facts, Timer.REACT, facts.policy.react_timeout)


def await_answer(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """T2 starts with the first sign of a device."""
    yield from stop(facts, Timer.REACT)
    yield from start(facts, Timer.ANSWER, facts.policy.answer_timeout)


def await_clearing(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """Finals of cancelled INVITEs are waited for, but not for ever."""
    yield from start(facts, Timer.CLEAR, CLEAR_AFTER)


def limit_length(facts: Facts, _event: Event) -> Iterator[do.Command]:
    """From the answer on, the longest call is measured."""
    yield from start(facts, Timer.LONGEST, LONGEST_CALL)
