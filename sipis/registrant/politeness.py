"""How many REGISTERs each registrar is sent, and which of its addresses may be talked to.

Per registrar a steady pace and a bound on attempts under way; per address a breaker and a budget of
refused credentials, because a ban hits an address and every customer behind it.
Refuses clocks and I/O: `now` is Unix seconds, standings are loaded and stored by the engine.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sipis.config import ProviderSettings
from sipis.registrant.breaker import Breaker, Phase, RefusalBudget
from sipis.store.registrars import Standing

CANARY_PATIENCE: Final = 5.0
"""Seconds until others look again while a canary is under way."""

NONCE_REST: Final = 3600.0
"""Seconds for which a registrar that refused a used nonce is offered none."""

LARGEST_BATCH: Final = 64
"""Attempts claimed for one registrar at a time."""

MOST_IDLE: Final = 4096
"""Desks and addresses without business that are remembered."""


@dataclass(slots=True)
class Desk:
    """The pace of one registrar: a bucket that fills at `rate`, and attempts under way.

    The bucket is a quarter of a second deep, so that even after a long silence no second sees much
    more than the rate.
    """

    rate: float
    most_in_flight: int
    min_expires: int = 0
    tokens: float = 0.0
    filled_at: float = 0.0
    in_flight: int = 0
    plain: bool = False
    """Whether this registrar stumbles over optional headers."""
    nonces_rest_until: float = 0.0
    """Until then this registrar is taken for one that takes each nonce once."""
    introduced: bool = False
    """Whether what the store remembers of it has been read."""

    def room(self, now: float) -> int:
        """How many attempts may start now."""
        self._fill(now)
        return max(0, min(int(self.tokens), self.most_in_flight - self.in_flight, LARGEST_BATCH))

    def ready_in(self, now: float) -> float:
        """Seconds until a batch worth claiming may start; 0 when only a finish makes room."""
        self._fill(now)
        if self.in_flight >= self.most_in_flight:
            return 0.0
        wanted = min(8.0, self._depth)
        return max(0.0, (wanted - self.tokens) / self.rate)

    def takes_used_nonces(self, now: float) -> bool:
        """Whether a nonce of an earlier attempt is worth trying."""
        return not now < self.nonces_rest_until <= now + NONCE_REST

    def learn_of_nonces(self, now: float, *, reusable: bool) -> None:
        """One was accepted or refused; a refusal may be but the trace of a restart."""
        self.nonces_rest_until = 0.0 if reusable else now + NONCE_REST

    def start(self, count: int) -> None:
        """So many attempts begin."""
        self.tokens -= count
        self.in_flight += count

    def finish(self, count: int = 1) -> None:
        """So many attempts have ended."""
        self.in_flight -= count

    @property
    def _depth(self) -> float:
        return max(1.0, self.rate / 4)

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self.filled_at)
        self.filled_at = now
        self.tokens = min(self._depth, self.tokens + passed * self.rate)


@dataclass(slots=True)
class Gate:
    """One address (IP literal) of a registrar; `changed` says that its standing needs storing."""

    host: str
    budget: RefusalBudget
    breaker: Breaker = field(default_factory=Breaker)
    changed: bool = False

    def wait(self, now: float, *, doubtful: bool, again: bool = False) -> float | None:
        """Seconds until an attempt may go here; None when it may go now.

        `again`: the account has failed before.
        """
        if not self.breaker.admits(now):
            return max(self.breaker.until - now, CANARY_PATIENCE)
        if doubtful and not self.budget.has_room(now, again=again):
            return self.budget.free_in(now, again=again)
        return None

    def enter(self, *, doubtful: bool) -> None:
        """An attempt that was not told to wait begins."""
        self.breaker.start()
        if doubtful:
            self.budget.reserve()

    def leave(self, *, doubtful: bool) -> None:
        """It ended; what it showed is said by exactly one of succeeded, failed and undecided."""
        if doubtful:
            self.budget.release()

    def succeeded(self, *, doubtful: bool) -> None:
        """A registration succeeded here."""
        self.changed |= self.breaker.phase is not Phase.CLOSED
        self.breaker.succeeded()
        if doubtful:
            self.budget.succeeded()

    def failed(self, account: int, now: float, jitter: float) -> bool:
        """An account failed in a way that may be the address's fault; True when this closed it."""
        opened = self.breaker.failed(account, now, jitter)
        self.changed |= self.breaker.phase is not Phase.CLOSED
        return opened

    def undecided(self) -> None:
        """An attempt showed nothing about the address."""
        self.breaker.undecided()

    def refused(self, now: float) -> None:
        """Credentials of ours were refused here."""
        self.budget.refused(now)
        self.changed = True

    def pause(self, seconds: float, now: float) -> None:
        """The address asked to be left alone."""
        self.breaker.pause(seconds, now)
        self.changed = True

    @property
    def idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        return self.breaker.idle and not self.budget.refused_at and not self.budget.reserved


class Politeness:
    """All desks and gates of this process."""

    def __init__(self, provider: Callable[[str], ProviderSettings]) -> None:
        self._provider = provider
        self._desks: dict[str, Desk] = {}
        self._gates: dict[str, Gate] = {}

    def desk(self, registrar: str) -> Desk:
        """The desk of a registrar, made when first asked for."""
        desk = self._desks.get(registrar)
        if desk is None:
            settings = self._provider(registrar)
            _trim(self._desks, (key for key, desk in self._desks.items() if not desk.in_flight))
            desk = Desk(
                max(settings.register_per_second, 0.01),
                max(settings.registers_in_flight, 1),
                settings.min_expires or 0,
            )
            self._desks[registrar] = desk
        return desk

    def known_gate(self, host: str) -> Gate | None:
        """The gate of an address whose standing is known already."""
        return self._gates.get(host)

    @property
    def desks(self) -> Mapping[str, Desk]:
        """The desks that were asked for, by registrar."""
        return self._desks

    def new_gate(self, host: str, registrar: str, standing: Standing) -> Gate:
        """A gate with the standing that the store remembers."""
        _trim(self._gates, (key for key, gate in self._gates.items() if gate.idle))
        gate = Gate(host, RefusalBudget(self._provider(registrar).auth_failures_per_hour))
        gate.budget.refused_at.extend(standing.refused_at)
        gate.breaker.restore(standing.paused_until or 0.0, standing.trips)
        return self._gates.setdefault(host, gate)


def _trim(table: dict[str, Desk] | dict[str, Gate], idle: Iterable[str]) -> None:
    if len(table) >= MOST_IDLE:
        for key in list(idle):
            del table[key]
