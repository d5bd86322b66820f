"""All exchanges under way: how they start, change address, end and are settled.

Refuses to start anything for an instance that is being destroyed, however late its claim comes.
"""

from collections.abc import Callable
from typing import Final

from sipis.errors import TransportError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.registrant import settlements
from sipis.registrant.continuity import FLOW_SPREAD, Continuity
from sipis.registrant.dispatch import Opening, Rooms
from sipis.registrant.exchange import Exchange
from sipis.registrant.ledger import Entry, Ledger
from sipis.registrant.order import Means, Order
from sipis.registrant.politeness import Gate, Politeness
from sipis.registrant.schedule import RULES, Decision, Outcome, Result, decide
from sipis.sip.flow import Flow, Transport
from sipis.store import schedule
from sipis.store.schedule import Claim, Settlement

STUCK: Final = 170.0
"""Seconds after which an exchange is given up, just before its claim falls due again."""

MOVE_DELAY: Final = 1.0
"""Seconds before a registration is repeated that was made with an outdated Contact."""

MOST_GONE: Final = 100_000


class Exchanges:
    """What is under way. `finish` is told a registrar whenever an attempt of it has ended."""

    def __init__(
        self,
        rooms: Rooms,
        means: Means,
        opening: Opening,
        politeness: Politeness,
        *,
        ledger: Ledger,
        continuity: Continuity,
        supervisor: Supervisor,
        metrics: Metrics,
        jitter: Callable[[], float],
        finish: Callable[[str], None],
        unopenable: Callable[[int], None],
    ) -> None:
        self._rooms = rooms
        self._means = means
        self._opening = opening
        self._politeness = politeness
        self._ledger = ledger
        self._continuity = continuity
        self._supervisor = supervisor
        self._metrics = metrics
        self._jitter = jitter
        self._finish = finish
        self._unopenable = unopenable
        self._starting: dict[int, Claim] = {}
        self._under_way: dict[int, Exchange] = {}
        self._gone: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._starting) + len(self._under_way)

    async def start(self, claim: Claim, *, leaving: bool = False) -> None:
        """Begin the attempt of a claim; `leaving` removes the binding instead of renewing it.

        The claim's desk has counted it as started; this and what follows from it count it finished.
        """
        self._starting[claim.n] = claim
        order = await self._order(claim)
        if self._starting.get(claim.n) is not claim:  # aborted; perhaps another one has begun since
            self._count_finished(claim)
            return
        del self._starting[claim.n]
        if order is None:
            self._drop(claim)
            return
        if isinstance(order, Result):
            self._settle(claim, order, None)
            return
        if leaving:
            order.expires = 0
        await self._set_out(self._begin(order))

    async def _order(self, claim: Claim) -> Order | Result | None:
        """What the attempt needs; None when nobody can open the account any more."""
        if claim.n in self._gone:
            return None
        opened = self._opening.open(claim)
        if opened is None:  # the key is gone, or the account was sealed anew since the claim
            claim = await self._rooms.store.read(schedule.read_again, claim)
            opened = self._opening.open(claim)
        if opened is None or isinstance(opened, Result):
            return opened
        return await self._opening.order(claim, opened)

    def fail(self, claim: Claim) -> None:
        """End the attempt of a claim that could not be started because of a bug of ours."""
        self._starting.pop(claim.n, None)
        exchange = self._under_way.pop(claim.n, None)
        if exchange is not None:
            exchange.abort()
            self._leave(exchange).undecided()
        self._settle(claim, Result(Outcome.MISFIT), None)

    def abort(self, n: int) -> Exchange | None:
        """Forget the attempt of an instance; returns it if a REGISTER may have left."""
        self._starting.pop(n, None)
        exchange = self._under_way.pop(n, None)
        if exchange is None:
            return None
        exchange.abort()
        self._leave(exchange).undecided()
        self._count_finished(exchange.order.claim)
        return exchange if exchange.flow is not None else None

    def bar(self, n: int) -> None:
        """Start nothing for this instance any more: it is being destroyed."""
        if len(self._gone) >= MOST_GONE:
            self._gone.pop(next(iter(self._gone)))
        self._gone[n] = None

    def unbar(self, n: int) -> None:
        """It is not being destroyed after all."""
        self._gone.pop(n, None)

    def abort_all(self) -> None:
        """Forget everything; the claims fall due again by themselves."""
        for n in [*self._under_way, *self._starting]:
            self.abort(n)

    def give_up_stuck(self) -> None:
        """Settle what hangs although every transaction has a timer: the oldest is looked at."""
        now = self._rooms.clock.monotonic()
        while self._under_way:
            oldest = next(iter(self._under_way.values()))
            if oldest.began_at > now - STUCK:
                return
            oldest.abort()
            self._finished(oldest, Result(Outcome.TIMEOUT))

    def _begin(self, order: Order) -> Exchange:
        exchange = Exchange(
            order,
            self._means,
            finished=self._finished,
            lost_way=self._lost_way,
        )
        self._under_way[order.claim.n] = exchange
        exchange.way.gate.enter(doubtful=order.doubtful)
        return exchange

    async def _set_out(self, exchange: Exchange) -> None:
        try:
            flow = await self._opening.flow_to(exchange.way.target, exchange.order.claim)
        except TransportError as failure:
            if not exchange.done:
                exchange.unreachable(failure)
            return
        if not exchange.done:
            exchange.start(flow)

    def _lost_way(self, exchange: Exchange, why: Result) -> None:
        """An address failed and there is another: blame the first, turn to the second."""
        self._judge(self._leave(exchange), exchange.order, why)
        way = exchange.take_next_way()
        way.gate.enter(doubtful=exchange.order.doubtful)
        if not self._supervisor.spawn("next way", self._set_out(exchange)):
            exchange.abort()
            self._finished(exchange, why)

    def _finished(self, exchange: Exchange, result: Result) -> None:
        claim = exchange.order.claim
        self._under_way.pop(claim.n, None)
        self._judge(self._leave(exchange), exchange.order, result)
        if result.outcome is Outcome.REGISTERED:
            self._learn_ways(exchange)
        self._settle(claim, result, exchange)

    def _leave(self, exchange: Exchange) -> Gate:
        gate = exchange.way.gate
        gate.leave(doubtful=exchange.order.doubtful)
        return gate

    def _judge(self, gate: Gate, order: Order, result: Result) -> None:
        """What this result says about the address."""
        if result.outcome in (Outcome.REGISTERED, Outcome.RELEASED):
            gate.succeeded(doubtful=order.doubtful)
        else:
            self._blame(gate, order.claim, result)
        if gate.changed:
            self._ledger.note_gate(gate)

    def _blame(self, gate: Gate, claim: Claim, result: Result) -> None:
        """How far the address is at fault for a failure."""
        now, rule = self._rooms.clock.wall(), RULES[result.outcome]
        if rule.rebuff.falls_on(proven=claim.proven):
            gate.refused(now)
        if result.status == 503 and result.retry_after is not None:
            gate.pause(result.retry_after, now)
        elif rule.blames.falls_on(proven=claim.proven):
            if gate.failed(claim.n, now, self._jitter()):
                self._metrics.count("breaker_opened_total")
        else:
            gate.undecided()

    def _learn_ways(self, exchange: Exchange) -> None:
        """Remember per registrar what made this attempt succeed."""
        desk = exchange.order.desk
        desk.plain = exchange.plain
        if exchange.nonce_was_reusable is not None:
            now = self._rooms.clock.wall()
            desk.learn_of_nonces(now, reusable=exchange.nonce_was_reusable)
        if exchange.offered > max(exchange.order.expires, desk.min_expires):
            desk.min_expires = exchange.offered
            self._ledger.note_min_expires(exchange.order.claim.registrar, exchange.offered)

    def _settle(self, claim: Claim, result: Result, exchange: Exchange | None) -> None:
        now = self._rooms.clock.wall()
        decision = decide(result, settlements.facts_of(claim), now, self._jitter())
        if result.outcome is Outcome.REGISTERED and exchange is not None:
            settlement = self._registered(claim, result, decision, exchange)
        elif exchange is not None and exchange.order.expires == 0:
            settlement = settlements.idle(claim, result, now)
        else:
            settlement = self._not_registered(claim, result, decision, exchange)
        realms = exchange.password_realms if exchange and settlement.granted else ()
        entry = Entry(settlement, claim.id, settlements.is_news(claim, result, now), realms)
        self._ledger.add(entry, result.outcome)
        self._count_finished(claim)

    def _registered(
        self, claim: Claim, result: Result, decision: Decision, exchange: Exchange
    ) -> Settlement:
        trace, old, flow = exchange.trace(), exchange.order.trace, exchange.flow
        assert flow is not None
        carrier = exchange.carrier or flow
        number = self._number(carrier)
        self._rooms.endpoint.hold(carrier, result.granted, exchange.flow_timer)
        if carrier is not flow:  # too large for UDP, where calls may come nevertheless
            self._rooms.endpoint.hold(flow, result.granted)
        if exchange.moved or number is None:
            decision = decision._replace(next_attempt_at=self._soon(moved=exchange.moved))
        if exchange.moved and old.transport is not None:
            self._continuity.moved()
        self._continuity.used(flow, decision.bound_until)
        binding = None if trace.says_the_same(old) else trace.to_binding()
        uses = trace.nonce.uses if trace.nonce else 0
        return settlements.registered(
            claim, result, decision, binding=binding, uses=uses, flow=number or 0
        )

    def _not_registered(
        self, claim: Claim, result: Result, decision: Decision, exchange: Exchange | None
    ) -> Settlement:
        flow = (exchange.carrier or exchange.flow) if exchange else None
        number = self._number(flow) if flow and decision.bound_until else 0
        return settlements.failed(claim, result, decision, number or 0)

    def _soon(self, *, moved: bool) -> float:
        delay = MOVE_DELAY if moved else FLOW_SPREAD
        return self._rooms.clock.wall() + delay * (0.5 + 0.5 * self._jitter())

    def _number(self, flow: Flow) -> int | None:
        """What a binding dies with; 0 for a listener, which a restart brings back; None: closed."""
        if flow.transport is Transport.UDP and flow.listener:
            return 0
        return flow.id if self._rooms.endpoint.is_open(flow) else None

    def _drop(self, claim: Claim) -> None:
        """Nobody can open this row: tell, and leave the rest to whoever erases it."""
        if claim.n not in self._gone:
            self._unopenable(claim.n)
        self._count_finished(claim)

    def _count_finished(self, claim: Claim) -> None:
        self._finish(claim.registrar)
