"""The room's face: what the rest of the server asks of the registrant, and how its parts join.

Refuses to decide over instances: deletion, expiry and pushes are the business of lifecycle, which
hears of every change through the Observer.
"""

import random
import sqlite3
from collections.abc import Callable, Sequence

from sipis.config import Settings
from sipis.model import Mode
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.registrant.claims import Claims
from sipis.registrant.continuity import Continuity
from sipis.registrant.dispatch import Opening, Rooms
from sipis.registrant.exchange import Exchange
from sipis.registrant.exchanges import Exchanges
from sipis.registrant.farewell import Farewell, Farewells
from sipis.registrant.ledger import Ledger, Observer
from sipis.registrant.order import Means
from sipis.registrant.politeness import Politeness
from sipis.registrant.sources import Sources, load_all
from sipis.store import schedule, timing
from sipis.store.schedule import Claim
from sipis.transport.targets import share_of


class Registrant:
    """Keeps the bindings of all instances alive."""

    def __init__(
        self,
        rooms: Rooms,
        settings: Settings,
        observer: Observer,
        *,
        entropy: Callable[[int], bytes],
        metrics: Metrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`entropy(n)` gives n random bytes, `jitter()` a number from 0 up to 1."""
        self._rooms = rooms
        self._metrics = metrics
        self._supervisor = Supervisor("registrant", rooms.clock, on_crash=metrics.crashed)
        self.sources = Sources(settings.provider, settings.providers)
        self._politeness = _desks(settings)
        self._claims = Claims(rooms, self._politeness, self._supervisor, metrics)
        self._ledger = self._new_ledger(observer)
        self._continuity = self._new_continuity(settings)
        means = _means(rooms, settings, entropy)
        opening = Opening(
            rooms,
            self._politeness,
            self.sources,
            settings.provider,
            expires=settings.policy.expires,
        )
        self._exchanges = Exchanges(
            rooms,
            means,
            opening,
            self._politeness,
            ledger=self._ledger,
            continuity=self._continuity,
            supervisor=self._supervisor,
            metrics=metrics,
            jitter=jitter,
            finish=self._claims.finish,
            unopenable=observer.on_unopenable,
        )
        self._farewells = Farewells(
            rooms,
            means,
            opening,
            self._politeness,
            supervisor=self._supervisor,
            metrics=metrics,
        )
        self._supervisor.serve("claims", self._work)
        self._supervisor.serve("outcomes", self._ledger.run)
        self._supervisor.serve("repair", self._continuity.repair)
        self._supervisor.serve("beat", self._continuity.beat)

    async def know_sources(self) -> None:
        """Call before anything comes in: take up from where each provider's requests come."""
        learnt = await self._rooms.store.read(load_all)
        self.sources.load(learnt, self._rooms.clock.wall())

    async def run(self) -> None:
        """Work until stop() or cancellation; a restart begins with what the last process left."""
        await self._supervisor.run()

    async def drain(self) -> None:
        """Wait for the last REGISTERs of instances that are gone: seconds at most."""
        await self._farewells.all_said()

    async def stop(self) -> None:
        """Forget what is under way and write down what is known; bindings stay as they are."""
        self._exchanges.abort_all()
        self._supervisor.stop()
        await self._ledger.flush()

    def wake(self, n: int = 0) -> None:  # noqa: ARG002 - which one is read from the schedule
        """Something has become due: an instance was added, changed or given back."""
        self._claims.wake()

    def abort(self, n: int) -> None:
        """Forget a REGISTER under way: what it would settle is out of date."""
        self._exchanges.abort(n)

    async def withdraw(self, n: int) -> None:
        """The app has the registration for a while: remove our binding with the living account.

        For the mode `alternate`, after the store holds the row. A failure costs nothing but a
        second ring until the binding lapses. Where there is none, nothing is sent: an app that
        comes and goes must not wear out a registrar that refuses it.
        """
        under_way = self._exchanges.abort(n)
        await self._ledger.flush_for([n])
        claim = await self._rooms.store.write(_seize_bound, n, self._rooms.clock.wall(), under_way)
        if claim is None:
            return
        self._politeness.desk(claim.registrar).start(1)
        if not self._supervisor.spawn("withdraw", self._exchanges.start(claim, leaving=True)):
            self._claims.finish(claim.registrar)

    async def prepare_farewells(self, ns: Sequence[int]) -> list[Farewell]:
        """Call before keys are destroyed: stop all REGISTERs and write the last ones.

        From here on nothing else is sent for these instances. None is written where there is no
        binding, in the mode `takeover`, and beyond the bound on farewells at a time.
        """
        aborted = {n: self._stop_for_good(n) for n in ns}
        due = list(ns)[: self._farewells.room]
        await self._ledger.flush_for(ns)  # a binding of the last moment is not in its row yet
        rows = await self._rooms.store.read(_peek_all, due)
        return self._farewells.prepare(rows, aborted)

    def let_go(self, ns: Sequence[int]) -> None:
        """Instances whose farewells were prepared live on: nothing of theirs was destroyed.

        What was stopped falls due again by itself, when its claim has run out.
        """
        for n in ns:
            self._exchanges.unbar(n)
        self._claims.wake()

    async def prepare_move(self, n: int) -> list[Farewell]:
        """Call before an instance gets another account: write the last REGISTER of the old one.

        A REGISTER under way is forgotten, and none follows until the row has changed; after that
        the new account registers as any other.
        """
        under_way = self._exchanges.abort(n)
        await self._ledger.flush()
        claim = await self._rooms.store.write(schedule.seize, n, self._rooms.clock.wall())
        if claim is None or not self._farewells.room:
            return []
        return self._farewells.prepare([claim], {n: under_way})

    def send_farewells(self, farewells: Sequence[Farewell]) -> None:
        """Call after keys are destroyed and rows erased or changed; returns at once."""
        for farewell in farewells:
            self._farewells.send(farewell)

    def _new_ledger(self, observer: Observer) -> Ledger:
        return Ledger(
            self._rooms.store,
            self._rooms.clock,
            observer,
            self.sources,
            metrics=self._metrics,
            expect=self._claims.expect,
        )

    def _new_continuity(self, settings: Settings) -> Continuity:
        return Continuity(
            self._rooms.store,
            self._rooms.endpoint,
            self._rooms.clock,
            advertise=settings.sip.advertise,
            nat_binding=settings.sip.nat_binding,
            wake=self.wake,
        )

    def _stop_for_good(self, n: int) -> Exchange | None:
        self._exchanges.bar(n)
        return self._exchanges.abort(n)

    async def _work(self) -> None:
        """Claim only after the last process's traces are taken up, even if that takes a retry."""
        await self._continuity.resume()
        await self._claims.work(self._exchanges)


def _desks(settings: Settings) -> Politeness:
    """A desk for every provider of the configuration; ConfigError for an unknown policy."""
    politeness = Politeness(settings.provider)
    for domain, provider in settings.providers.items():
        politeness.desk(domain)
        for policy in (provider.udp_source, provider.flows):
            share_of(policy, domain)
    return politeness


def _means(rooms: Rooms, settings: Settings, entropy: Callable[[int], bytes]) -> Means:
    learns = settings.sip.learn_from_rport and not settings.sip.advertise
    return Means(rooms.endpoint, rooms.clock, entropy, settings.sip.user_agent, learns)


def _seize_bound(
    conn: sqlite3.Connection, n: int, now: float, under_way: Exchange | None
) -> Claim | None:
    """Claim a row that leaves its registration to its app now and then, if there is one to leave.

    A claim that was given up lets its row go (a job of the store).
    """
    row = schedule.peek(conn, n)
    if row is None:
        return None
    if row.mode is Mode.ALTERNATE and (under_way or (row.bound_until or 0.0) > now):
        return schedule.seize(conn, n, now)
    timing.interrupt(conn, n)
    return None


def _peek_all(conn: sqlite3.Connection, ns: Sequence[int]) -> list[Claim]:
    """What claims of these rows would give (a job of the store)."""
    found = [schedule.peek(conn, n) for n in ns]
    return [claim for claim in found if claim is not None]
