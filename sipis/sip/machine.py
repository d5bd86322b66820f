"""What drives transactions through their tables: one step for all, whatever the machine.

Refuses to decide: the row says what is done and where it leads.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Generic, TypeVar

from sipis.sip.events import Event
from sipis.sip.flow import Flow
from sipis.sip.message import Message
from sipis.sip.timers import (
    DOUBLING,
    DURATIONS,
    LINGER,
    PACE,
    UNRELIABLE_ONLY,
    Entry,
    Timer,
    TimerWheel,
)
from sipis.sip.transaction import Action, Input, State, Table


class Transaction:
    """The state that every transaction has; kept small, for there are many."""

    __slots__ = ("flow", "id", "interval", "limit", "pace", "reliable", "state", "wire")

    table: ClassVar[Table]

    def __init__(self, id_: str, flow: Flow, wire: bytes | None) -> None:
        self.id = id_
        self.flow = flow
        self.reliable = flow.transport.reliable
        self.wire = wire
        self.state = State.NEW
        self.interval = 0.0
        self.pace: Entry[Transaction] | None = None
        self.limit: Entry[Transaction] | None = None


TransactionWheel = TimerWheel[Transaction]


class Outlet:
    """Where transactions leave what is to be sent and told, in order."""

    __slots__ = ("datagrams", "events")

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, Flow]] = []
        self.events: deque[Event] = deque()

    def send(self, data: bytes, flow: Flow) -> None:
        """Queue one message."""
        self.datagrams.append((data, flow))

    def tell(self, event: Event) -> None:
        """Queue one event."""
        self.events.append(event)


Kind = TypeVar("Kind", bound=Transaction)
Doing = Callable[[Kind, float, Message | None], None]
"""Carries one action out: (transaction, now, the message at hand)."""


class Machine(Generic[Kind]):
    """All transactions of one side by their ids, and the step that moves them."""

    def __init__(
        self, wheel: TransactionWheel, outlet: Outlet, doings: Mapping[Action | Timer, Doing[Kind]]
    ) -> None:
        self._wheel = wheel
        self._outlet = outlet
        self._transactions: dict[str, Kind] = {}
        self._doings: dict[Action | Timer, Doing[Kind]] = {
            Action.SEND: self._send,
            Action.HUSH: self._hush,
            Action.RELAX: self._relax,
            **doings,
            **{timer: partial(self._set, timer) for timer in Timer},
        }

    def __len__(self) -> int:
        return len(self._transactions)

    def __contains__(self, transaction: str) -> bool:
        return transaction in self._transactions

    def step(
        self, transaction: Kind, happened: Input | Timer, now: float, message: Message | None = None
    ) -> None:
        """Look up the row and do what it says."""
        row = transaction.table.get((transaction.state, happened))
        if row is None:
            return
        actions, state = row
        transaction.state = state
        for action in actions:
            self._doings[action](transaction, now, message)
        if state is State.TERMINATED:
            self._forget(transaction)

    def _begin(self, transaction: Kind, now: float, message: Message | None = None) -> None:
        self._transactions[transaction.id] = transaction
        self.step(transaction, Input.START, now, message)

    def _forget(self, transaction: Kind) -> None:
        """Remove it from every index; overridden where there are more than the ids."""
        for hung in (transaction.pace, transaction.limit):
            if hung is not None:
                self._wheel.cancel(hung)
        transaction.pace = transaction.limit = None
        self._transactions.pop(transaction.id, None)

    def _send(self, transaction: Kind, _now: float, _message: Message | None = None) -> None:
        if transaction.wire is not None:
            self._outlet.send(transaction.wire, transaction.flow)

    def _hush(self, transaction: Kind, _now: float = 0.0, _message: Message | None = None) -> None:
        if transaction.pace is not None:
            self._wheel.cancel(transaction.pace)
            transaction.pace = None

    def _relax(self, transaction: Kind, _now: float = 0.0, _message: Message | None = None) -> None:
        if transaction.limit is not None:
            self._wheel.cancel(transaction.limit)
            transaction.limit = None

    def _set(
        self, timer: Timer, transaction: Kind, now: float, _message: Message | None = None
    ) -> None:
        if transaction.reliable:
            if timer in UNRELIABLE_ONLY:
                return
            if timer in LINGER:
                self.step(transaction, timer, now)
                return
        after = _doubled(timer, transaction) if timer in DOUBLING else DURATIONS[timer]
        hung = self._wheel.set(now + after, transaction, timer)
        if timer in PACE:
            replaced, transaction.pace = transaction.pace, hung
        else:
            replaced, transaction.limit = transaction.limit, hung
        if replaced is not None:
            self._wheel.cancel(replaced)


def _doubled(timer: Timer, transaction: Transaction) -> float:
    transaction.interval = min(transaction.interval * 2 or DURATIONS[timer], DOUBLING[timer])
    return transaction.interval
