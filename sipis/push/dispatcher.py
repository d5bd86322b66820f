"""Announces one event to all targets of an instance, and says what became of it.

Refuses to raise, to outlive the notification's deadline, and to let one app's trouble reach
another: every (app, service) has its own gate and circuits. Dead targets are reported upwards;
what dies with them is the lifecycle's decision.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from sipis.clock import Clock
from sipis.model import Environment, PushService
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.push.budget import Budgets, Rates
from sipis.push.circuit import Circuit
from sipis.push.delivery import Delivery, Lane
from sipis.push.gate import Gate, Why
from sipis.push.outcome import NO_ACCOUNT, WORDS, DeadTarget, Misconfigured
from sipis.push.provider import AddressedTarget, Notification, PushProvider
from sipis.push.report import PushReport, Unsent, Verdict, report_of
from sipis.push.routes import choose

UUID_BYTES: Final = 16


class TargetFates(Protocol):
    """Who hears what became of targets: the lifecycle, the only writer of an instance's life.

    Calls return at once: a store that is slow must not delay a ringing phone.
    """

    def target_died(self, target: AddressedTarget, dead: DeadTarget) -> None:
        """A service declared this token dead; compare it with the stored one before clearing."""

    def target_worked(self, target: AddressedTarget, environment: Environment) -> None:
        """A service accepted a push to this token, in that environment."""


class Dispatcher:
    """The push room; run() keeps its connections and tokens alive."""

    def __init__(
        self,
        providers: Iterable[PushProvider],
        *,
        clock: Clock,
        supervisor: Supervisor,
        metrics: Metrics,
        entropy: Callable[[int], bytes],
        jitter: Callable[[], float] = lambda: 0.0,
        rates: Rates | None = None,
        fates: TargetFates | None = None,
    ) -> None:
        self._providers = {provider.service: provider for provider in providers}
        self._clock = clock
        self._supervisor = supervisor
        self._metrics = metrics
        self._entropy = entropy
        self._jitter = jitter
        self._budgets = Budgets(clock, rates)
        self._lanes: dict[tuple[str, PushService], Lane] = {}
        self.fates = fates

    async def run(self, apps: Iterable[str] = ()) -> None:
        """Warm the apps' connections, then work until stopped or cancelled."""
        for app in apps:
            self.warm(app)
        try:
            await self._supervisor.run()
        finally:
            for provider in self._providers.values():
                await provider.close()

    def stop(self) -> None:
        """End run()."""
        self._supervisor.stop()

    def warm(self, app: str) -> None:
        """Get ready for the first push of an app."""
        self._supervisor.serve("warm", lambda: self._warm(app))

    def reloaded(self, app: str) -> None:
        """The app's keys were changed: give them a chance at once."""
        for (owner, _), lane in self._lanes.items():
            if owner == app:
                for circuit in lane.circuits.values():
                    circuit.close()
        self.warm(app)

    async def announce(
        self,
        notification: Notification,
        targets: Sequence[AddressedTarget],
        on_accepted: Callable[[], None] | None = None,
    ) -> PushReport:
        """Push to all targets that the event goes to, by the notification's deadline; never raises.

        `on_accepted` is called at the first acceptance, before the slower targets are done.
        """
        first, fallback = choose(notification.event, targets)
        firsts = _Firsts(_Once(on_accepted), _Once(partial(self._note_sent, notification)))
        verdicts = await self._deliver_all(notification, first, firsts)
        if fallback and not any(verdict.accepted for verdict in verdicts):
            verdicts += await self._deliver_all(notification, fallback, firsts)
        return report_of(verdicts)

    async def _deliver_all(
        self, notification: Notification, targets: Sequence[AddressedTarget], firsts: "_Firsts"
    ) -> list[Verdict]:
        if len(targets) == 1:
            return [await self._deliver(notification, targets[0], firsts)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._deliver(notification, target, firsts)) for target in targets
            ]
        return [task.result() for task in tasks]

    async def _deliver(
        self, notification: Notification, target: AddressedTarget, firsts: "_Firsts"
    ) -> Verdict:
        verdict = await self._carried(notification, target, firsts.sent)
        if verdict.accepted:
            firsts.accepted()
        self._count(notification, verdict)
        self._tell_fate(verdict)
        return verdict

    def _note_sent(self, notification: Notification) -> None:
        """Measure from what is told of to the wire."""
        if notification.since is not None:
            elapsed = self._clock.monotonic() - notification.since
            self._metrics.observe("invite_to_push_seconds", elapsed)

    async def _carried(
        self, notification: Notification, target: AddressedTarget, on_sent: Callable[[], None]
    ) -> Verdict:
        environment = target.target.environment or Environment.PRODUCTION
        lane = self._lane(notification.app, target.target.provider)
        if lane is None:
            return Verdict(target, Misconfigured(NO_ACCOUNT), environment)
        if not self._budgets.take(target.target, notification.event):
            return Verdict(target, Unsent(Why.BUDGET), environment)
        delivery = Delivery(
            lane,
            notification,
            target,
            str(uuid.UUID(bytes=self._entropy(UUID_BYTES), version=4)),
            clock=self._clock,
            metrics=self._metrics,
            jitter=self._jitter,
            on_sent=on_sent,
        )
        return await delivery.run()

    def _lane(self, app: str, service: PushService) -> Lane | None:
        provider = self._providers.get(service)
        if provider is None:
            return None
        lane = self._lanes.get((app, service))
        if lane is None:
            circuits = {environment: Circuit(self._clock) for environment in Environment}
            lane = self._lanes[app, service] = Lane(app, provider, Gate(self._clock), circuits)
        return lane

    def _count(self, notification: Notification, verdict: Verdict) -> None:
        service = verdict.target.target.provider.value
        outcome = verdict.outcome
        if isinstance(outcome, Unsent):
            self._metrics.count("push_dropped_total", why=outcome.reason)
        word = "unsent" if isinstance(outcome, Unsent) else WORDS[type(outcome)]
        self._metrics.count(
            "push_total",
            service=service,
            event=notification.event.value,
            outcome=word,
            reason=outcome.reason,
        )
        if verdict.dead:
            self._metrics.count("targets_dead_total", service=service, reason=outcome.reason)

    def _tell_fate(self, verdict: Verdict) -> None:
        if self.fates is None:
            return
        if verdict.dead and isinstance(verdict.outcome, DeadTarget):
            self.fates.target_died(verdict.target, verdict.outcome)
        elif verdict.accepted:
            self.fates.target_worked(verdict.target, verdict.environment)

    async def _warm(self, app: str) -> None:
        for provider in self._providers.values():
            provider.warm(app)


class _Once:
    """Calls back at most once."""

    def __init__(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


@dataclass(frozen=True, slots=True)
class _Firsts:
    """What is told of an announcement to several targets only when the first of them gets there."""

    accepted: _Once
    sent: _Once
