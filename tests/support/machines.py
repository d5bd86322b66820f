"""A transaction machine with its wheel and its outlet in the hands of a test."""

from typing import Generic, TypeVar

from sipis.sip.machine import Machine, Outlet, Transaction, TransactionWheel
from sipis.sip.message import Message, parse_message

Kind = TypeVar("Kind", bound=Transaction)


class MachineBench(Generic[Kind]):
    """What the client's and the server's side have in common: time, the wire, what is told."""

    def __init__(
        self, wheel: TransactionWheel, outlet: Outlet, machine: Machine[Kind], kind: type[Kind]
    ) -> None:
        self.wheel = wheel
        self.outlet = outlet
        self._machine = machine
        self._kind = kind

    def transaction(self, id_: str) -> Kind:
        return self._machine._transactions[id_]

    def messages(self) -> list[Message]:
        """What has left since this was asked last."""
        datagrams, self.outlet.datagrams = self.outlet.datagrams, []
        return [parse_message(data) for data, _ in datagrams]

    def told(self) -> list[object]:
        """What the transaction user has heard since this was asked last."""
        events = list(self.outlet.events)
        self.outlet.events.clear()
        return list(events)

    def expire(self, now: float) -> None:
        for entry in self.wheel.expire(now):
            assert isinstance(entry.owner, self._kind)
            self._machine.step(entry.owner, entry.timer, now)

    def run(self, end: float) -> list[float]:
        """Let time pass to `end`; the moments at which something was sent."""
        moments: list[float] = []
        while (now := self.wheel.next_deadline()) is not None and now <= end:
            self.expire(now)
            moments += [now] * len(self.messages())
        return moments
