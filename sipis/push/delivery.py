"""One notification on its way to one target: attempts until an outcome stands or time is up.

Refuses to hold a place while it waits: between attempts others may go. Every attempt carries the
same push id and call UUID, so that a push which arrives twice is seen to be one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from sipis.clock import Clock
from sipis.errors import SipisError
from sipis.model import Environment, PushEvent
from sipis.observe.metrics import Metrics
from sipis.push.circuit import Circuit
from sipis.push.gate import PRIORITY, Gate, Why
from sipis.push.outcome import NO_KEY, UNKNOWN, Faulty, Misconfigured, PushOutcome
from sipis.push.payload import minimal
from sipis.push.persistence import Again, Persistence
from sipis.push.provider import (
    AddressedTarget,
    Notification,
    PushProvider,
    TargetedPush,
    nothing,
)
from sipis.push.report import Unsent, Verdict

_log = structlog.get_logger("push")


@dataclass(slots=True)
class Lane:
    """What all pushes of one app to one service share: a broken key keeps nobody else waiting."""

    app: str
    provider: PushProvider
    gate: Gate
    circuits: dict[Environment, Circuit]


class Delivery:
    """Carries one push; run() never raises."""

    def __init__(
        self,
        lane: Lane,
        notification: Notification,
        target: AddressedTarget,
        push_id: str,
        *,
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float],
        on_sent: Callable[[], None] = nothing,
    ) -> None:
        """`on_sent` is called when an attempt is handed to its connection."""
        self._lane = lane
        self._note = notification
        self._target = target
        self._push_id = push_id
        self._clock = clock
        self._metrics = metrics
        self._on_sent = on_sent
        self._environment = target.target.environment or Environment.PRODUCTION
        self._persistence = Persistence(
            is_call=notification.event is PushEvent.CALL,
            ever_accepted=target.ever_accepted,
            jitter=jitter,
        )

    async def run(self) -> Verdict:
        """Deliver and return the verdict, by the notification's deadline."""
        while True:
            outcome = await self._attempt()
            again = None if isinstance(outcome, Unsent) else self._persistence.after(outcome)
            if again is None or not self._in_time(again):
                return Verdict(self._target, outcome, self._environment)
            await self._prepare(again)

    async def _attempt(self) -> PushOutcome | Unsent:
        """Pass circuit and gate, and send."""
        circuit = self._circuit
        if not circuit.lets_through():
            return Unsent(Why.CIRCUIT)
        try:
            outcome = await self._send_from_gate()
        finally:
            circuit.abandon_probe()
        if not isinstance(outcome, Unsent):
            self._learn(outcome)
        return outcome

    async def _send_from_gate(self) -> PushOutcome | Unsent:
        gate = self._lane.gate
        refused = await gate.enter(PRIORITY[self._note.event], self._note.deadline)
        self._metrics.gauge("push_queue", gate.waiting, app=self._lane.app)
        if refused is not None:
            return Unsent(refused)
        try:
            return await self._send()
        finally:
            gate.leave()

    async def _send(self) -> PushOutcome:
        began = self._clock.monotonic()
        deadline = min(began + self._persistence.timeout, self._note.deadline)
        push = TargetedPush(
            self._note,
            self._target.target,
            self._environment,
            self._push_id,
            deadline,
            self._on_sent,
        )
        try:
            return await self._lane.provider.send(push)
        except SipisError:
            return Misconfigured(NO_KEY)
        except Exception as crash:  # an adapter's bug must cost this push, not the call
            _log.error("push_crashed", service=self._service, error=type(crash).__name__)
            return Faulty(UNKNOWN)
        finally:
            took = self._clock.monotonic() - began
            self._metrics.observe("push_seconds", took, service=self._service)

    def _learn(self, outcome: PushOutcome) -> None:
        if not self._circuit.learn(outcome):
            return
        is_open = any(circuit.open for circuit in self._lane.circuits.values())
        names = {"app": self._lane.app, "service": self._service}
        self._metrics.gauge("push_circuit_open", float(is_open), **names)
        _log.warning("push_circuit", state="open" if is_open else "closed", **names,
                     reason=outcome.reason)  # fmt: skip

    def _in_time(self, again: Again) -> bool:
        return self._clock.monotonic() + again.after < self._note.deadline

    async def _prepare(self, again: Again) -> None:
        self._metrics.count("push_retries_total", service=self._service)
        if again.minimal:
            self._note = replace(self._note, payload=minimal(self._note.payload))
        if again.other_environment:
            self._environment = _other(self._environment)
        if again.after > 0:
            await self._clock.sleep(again.after)

    @property
    def _circuit(self) -> Circuit:
        return self._lane.circuits[self._environment]

    @property
    def _service(self) -> str:
        return self._lane.provider.service.value


def _other(environment: Environment) -> Environment:
    sandbox = environment is Environment.SANDBOX
    return Environment.PRODUCTION if sandbox else Environment.SANDBOX
