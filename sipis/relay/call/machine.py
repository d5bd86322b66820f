"""The call machine: tells events apart in the light of the facts, then follows the table.

Refuses anything after the end: a call that is over yields no command, whatever is fed to it.
"""

from collections.abc import Callable, Iterator
from typing import Final

from sipis.relay.call import actions
from sipis.relay.call.commands import Command, Release
from sipis.relay.call.events import ELAPSED, FINALS, OF_A_CLAIM, Event, Kind
from sipis.relay.call.facts import Facts, Policy, Pushed
from sipis.relay.call.table import TABLE, TIMERS, State

Condition = Callable[[Facts], bool]


def _renewed(facts: Facts) -> bool:
    return facts.renewed


def _overdue(facts: Facts) -> bool:
    return facts.overdue


def _unpushed(facts: Facts) -> bool:
    return facts.pushed is Pushed.NOT


def _hopeless(facts: Facts) -> bool:
    return facts.pushed is Pushed.FAILED


SHARPER: Final[dict[Kind, tuple[tuple[Condition, Kind], ...]]] = {
    Kind.CAME: ((_overdue, Kind.CAME_OVERDUE),),
    Kind.SILENCE_ELAPSED: (
        (_renewed, Kind.SILENCE_RENEWED),
        (_unpushed, Kind.SILENCE_UNPUSHED),
    ),
    Kind.LOST: (
        (_renewed, Kind.LOST_RENEWED),
        (_hopeless, Kind.LOST_HOPELESS),
        (_unpushed, Kind.LOST_UNPUSHED),
    ),
}
"""Kinds that the facts make more precise; the first condition that holds wins."""

_TIMER_OF: Final = {kind: timer for timer, kind in ELAPSED.items()}
_PENDING: Final = frozenset({State.WAKING, State.CALLING, State.AWAITED, State.RINGING})


class Call:
    """One incoming call, from its INVITE to its end."""

    def __init__(self, policy: Policy) -> None:
        self.state = State.NEW
        self.facts = Facts(policy)

    @property
    def over(self) -> bool:
        """Whether nothing is owed to anybody any more."""
        return self.state is State.OVER

    @property
    def pending(self) -> bool:
        """Whether the provider still waits for its final response."""
        return self.state in _PENDING

    @property
    def clearing(self) -> bool:
        """Whether only the app still owes its last word."""
        return self.state is State.CLEARING

    @property
    def joined(self) -> bool:
        """Whether both dialogs stand, so that requests may pass between them."""
        return self.state is State.TALKING

    def feed(self, event: Event) -> list[Command]:
        """Follow the table by one step; what it does not know is ignored."""
        if self.over:
            return []
        kind = self._tell_apart(event)
        steps, target = (
            TABLE.get((self.state, kind), ((), self.state)) if kind else ((), self.state)
        )
        commands = [command for step in steps for command in step(self.facts, event)]
        return [*commands, *self._enter(target, event)]

    def _tell_apart(self, event: Event) -> Kind | None:
        """The kind that the table knows; None when the event no longer matters."""
        if event.kind in _TIMER_OF:
            self.facts.running.discard(_TIMER_OF[event.kind])
        if event.kind in OF_A_CLAIM and not self._speaks_of_now(event):
            return self._settle_stale(event)
        if event.kind in FINALS:
            self.facts.unsettled.discard(event.claim)
        for condition, kind in SHARPER.get(event.kind, ()):
            if condition(self.facts):
                return kind
        return event.kind

    def _speaks_of_now(self, event: Event) -> bool:
        return event.claim == self.facts.claim and event.claim in self.facts.unsettled

    def _settle_stale(self, event: Event) -> Kind | None:
        stale = event.kind in FINALS and event.claim in self.facts.unsettled
        if not stale:
            return None
        self.facts.unsettled.discard(event.claim)
        return Kind.STALE_ANSWERED if event.kind is Kind.ANSWERED else None

    def _enter(self, target: State, event: Event) -> Iterator[Command]:
        target = self._settled(target)
        if target is self.state:
            return
        self.state = target
        for timer in sorted(self.facts.running - TIMERS[target], key=lambda one: one.value):
            yield from actions.stop(self.facts, timer)
        if target is State.CLEARING:
            yield from actions.await_clearing(self.facts, event)
        if target is State.OVER:
            yield Release()

    def _settled(self, target: State) -> State:
        """A call is over only when each INVITE to the app has had its final response."""
        if target is State.OVER and self.facts.unsettled:
            return State.CLEARING
        if target is State.CLEARING and not self.facts.unsettled:
            return State.OVER
        return target
