"""The last REGISTER of an account: un-REGISTER, written before the key dies, sent after.

With a nonce that is fresh the finished message is all that is kept. With an old one the opened
account is kept beside it, to answer one challenge, and dropped with the final response or after ten
seconds, whichever comes first. What is unsent by then is dropped and counted: the binding lapses by
itself. Refuses `Contact: *`, refuses to wait, and refuses the mode `takeover`, where the binding at
the registrar is the app's own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sipis.clock import Alarm
from sipis.errors import FieldError, ProtocolError, TransportError, VaultError
from sipis.model import Mode
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.registrant import bindings
from sipis.registrant.bindings import METHOD, Ask, Identity, Place, place_of
from sipis.registrant.dispatch import Opening, Rooms
from sipis.registrant.exchange import Exchange
from sipis.registrant.order import Means
from sipis.registrant.politeness import Politeness
from sipis.registrant.traces import Trace, live_nonce
from sipis.sip.digest import read_challenges
from sipis.sip.events import RequestFailed, RequestTimedOut, ResponseReceived
from sipis.sip.flow import Flow
from sipis.sip.message import Request, Response
from sipis.store.schedule import CSEQ_PER_CLAIM, Claim
from sipis.vault import Authorized, OpenedAccount

DEADLINE: Final = 10.0
"""Seconds after which neither message nor account is held any longer."""

FRESH: Final = 120.0
"""Seconds for which a nonce is taken to be alive; registrars keep them for five minutes or so."""

MOST_PENDING: Final = 256
"""Farewells at a time; a mass expiry leaves the rest to lapse."""


@dataclass(slots=True, eq=False)
class Farewell:
    """A finished un-REGISTER; `opened` is there only where a challenge must be expected."""

    claim: Claim = field(repr=False)
    place: Place = field(repr=False)
    trace: Trace = field(repr=False)
    request: Request | None = field(repr=False)
    opened: OpenedAccount | None = field(repr=False)
    flow: Flow | None = None
    transaction: str = ""
    alarm: Alarm | None = None

    def forget(self) -> None:
        """Let go of everything that could still speak for the account."""
        self.request = None
        self.opened = None
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class Farewells:
    """Writes and sends them, and counts what came of each."""

    def __init__(
        self,
        rooms: Rooms,
        means: Means,
        opening: Opening,
        politeness: Politeness,
        *,
        supervisor: Supervisor,
        metrics: Metrics,
    ) -> None:
        self._rooms = rooms
        self._politeness = politeness
        self._means = means
        self._opening = opening
        self._supervisor = supervisor
        self._metrics = metrics
        self._pending: set[Farewell] = set()
        self._all_said = asyncio.Event()
        self._all_said.set()

    async def all_said(self) -> None:
        """Wait until none is pending: each ends within DEADLINE seconds of its writing."""
        await self._all_said.wait()

    @property
    def room(self) -> int:
        """How many more may be pending."""
        return MOST_PENDING - len(self._pending)

    def prepare(
        self, rows: Sequence[Claim], aborted: Mapping[int, Exchange | None]
    ) -> list[Farewell]:
        """Write the farewells that are due, while the keys still live.

        `aborted` are the attempts whose REGISTER may be on its way: their sequence numbers are
        spent, and there may be a binding that the row does not know of.
        """
        written = []
        for row in rows:
            under_way = aborted.get(row.n)
            if row.mode is Mode.TAKEOVER or not (under_way or self._is_bound(row)):
                continue
            farewell = self._write(*_after(row, under_way))
            if farewell is not None:
                self._pending.add(farewell)
                self._all_said.clear()
                farewell.alarm = self._alarm(farewell)
                written.append(farewell)
        return written

    def send(self, farewell: Farewell) -> None:
        """Send it, once; returns at once."""
        if farewell.request is None or not self._supervisor.spawn("farewell", self._go(farewell)):
            self._end(farewell, "dropped")

    def _is_bound(self, row: Claim) -> bool:
        return (row.bound_until or 0.0) > self._rooms.clock.wall()

    def _write(self, claim: Claim, trace: Trace) -> Farewell | None:
        try:
            opened = self._rooms.vault.open_account(claim)
            place = place_of(opened.account)
        except (VaultError, ProtocolError):
            return None
        farewell = Farewell(claim, place, trace, None, opened)
        authorized = self._answer_ahead(farewell, opened)
        farewell.request = self._request(farewell, claim.cseq, authorized)
        if authorized is not None and self._is_fresh(claim):
            farewell.opened = None  # the message is all that is needed
        return farewell if farewell.request is not None else None

    def _answer_ahead(self, farewell: Farewell, opened: OpenedAccount) -> Authorized | None:
        """The answer to the remembered nonce, without being asked."""
        nonce = live_nonce(farewell.trace.nonce, farewell.claim.nonce_count)
        desk = self._politeness.desk(farewell.claim.registrar)
        if nonce is None or not desk.takes_used_nonces(self._now()):
            return None
        uri, cnonce = farewell.place.uri, self._means.entropy(16).hex()
        answer = opened.reuse(nonce, method=METHOD, uri=uri, cnonce=cnonce)
        return answer if isinstance(answer, Authorized) else None

    def _is_fresh(self, claim: Claim) -> bool:
        """Whether the nonce was accepted a moment ago: the last 200 came when the grant began."""
        if claim.bound_until is None:
            return False
        return self._rooms.clock.wall() - (claim.bound_until - claim.granted) < FRESH

    def _request(
        self, farewell: Farewell, cseq: int, authorized: Authorized | None
    ) -> Request | None:
        opened, trace = farewell.opened, farewell.trace
        if opened is None or trace.transport is None:
            return None
        claim = farewell.claim
        host, port = trace.contact
        try:
            return bindings.build_register(
                opened.account,
                farewell.place,
                Identity.of(claim.contact_token, claim.call_id),
                Ask(cseq, 0, host, port, trace.transport),
                user_agent=self._means.user_agent,
                answers=[authorized] if authorized else [],
            )
        except ProtocolError:
            return None

    async def _go(self, farewell: Farewell) -> None:
        claim = farewell.claim
        try:
            ways = await self._opening.ways(claim.registrar, farewell.place)
            target = next((w.target for w in ways if w.gate.breaker.admits(self._now())), None)
            if target is None:
                self._end(farewell, "dropped")
                return
            flow = await self._opening.flow_to(target, claim)
        except (TransportError, FieldError):
            self._end(farewell, "dropped")
            return
        farewell.flow = flow
        self._transmit(farewell)

    def _transmit(self, farewell: Farewell) -> None:
        if farewell.request is None or farewell.flow is None:
            return
        farewell.transaction = self._rooms.endpoint.send(
            farewell.request, farewell.flow, partial(self._hear, farewell)
        )
        farewell.request = None

    def _hear(
        self, farewell: Farewell, event: ResponseReceived | RequestTimedOut | RequestFailed
    ) -> None:
        if not isinstance(event, ResponseReceived):
            self._end(farewell, "dropped")
        elif event.response.status >= 200:
            self._hear_final(farewell, event.response)

    def _hear_final(self, farewell: Farewell, response: Response) -> None:
        if response.status in (401, 407) and self._answer(farewell, response):
            self._transmit(farewell)
        else:
            self._end(farewell, "accepted" if response.status < 300 else "refused")

    def _answer(self, farewell: Farewell, response: Response) -> bool:
        """Write the answer to the one challenge for which the account was kept."""
        if farewell.opened is None:
            return False
        answered = farewell.opened.authorize(
            read_challenges(response),
            method=METHOD,
            uri=farewell.place.uri,
            cnonce=self._means.entropy(16).hex(),
            remembered=farewell.trace.nonce,
        )
        if isinstance(answered, Authorized):
            farewell.request = self._request(farewell, farewell.claim.cseq + 1, answered)
        farewell.opened = None
        return farewell.request is not None

    def _alarm(self, farewell: Farewell) -> Alarm:
        clock = self._rooms.clock
        return clock.call_at(clock.monotonic() + DEADLINE, lambda: self._expire(farewell))

    def _expire(self, farewell: Farewell) -> None:
        if farewell.transaction:
            self._rooms.endpoint.abandon(farewell.transaction)
        self._end(farewell, "dropped")

    def _end(self, farewell: Farewell, outcome: str) -> None:
        farewell.forget()
        if farewell in self._pending:
            self._pending.discard(farewell)
            self._metrics.count("farewells_total", outcome=outcome)
        if not self._pending:
            self._all_said.set()

    def _now(self) -> float:
        return self._rooms.clock.wall()


def _after(row: Claim, under_way: Exchange | None) -> tuple[Claim, Trace]:
    """The row with numbers above those of the attempt that was stopped, and what either left."""
    if under_way is None:
        return row, Trace.of(row.binding)
    spent = under_way.order.claim
    later = row._replace(
        cseq=max(row.cseq, spent.cseq + CSEQ_PER_CLAIM),
        nonce_count=max(row.nonce_count, spent.nonce_count + CSEQ_PER_CLAIM),
    )
    return later, under_way.trace()
