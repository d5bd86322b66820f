"""One attempt under way: REGISTERs out, responses in, until there is a Result.

It lives from claim to settlement, seconds at most, and is driven by the endpoint's callbacks: no
task waits for it. Refuses to answer a challenge over and over (attempt.py counts), to follow a
redirection, and to hold the opened account any longer than the attempt lasts.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sipis.clock import Alarm
from sipis.errors import ProtocolError, RemoteProtocolError, TransportError, UntrustedPeer
from sipis.registrant import bindings
from sipis.registrant.attempt import Attempt, Meaning, Step, meaning
from sipis.registrant.bindings import METHOD, Ask
from sipis.registrant.order import Means, Order, Way
from sipis.registrant.schedule import Outcome, Result
from sipis.registrant.traces import Trace, live_nonce, next_nonce, seen_address
from sipis.sip.digest import DigestChallenge, read_challenges
from sipis.sip.events import RequestFailed, RequestTimedOut, ResponseReceived
from sipis.sip.flow import Flow, Transport
from sipis.sip.message import Response
from sipis.store.schedule import CSEQ_PER_CLAIM
from sipis.vault import Authorized, NonceState

PATIENCE: Final = 5.0
"""Seconds for an address that has an alternative; the last one gets all of timer F."""


class Exchange:
    """Carries out one order.

    `finished` is called once with the result;
    `lost_way` when the next address is wanted. `flow` is where the Contact leads; `carrier` brought
    the last response and is another one where a REGISTER was too large for UDP.
    """

    __slots__ = (
        "_alarm", "_answers", "_attempt", "_finished", "_from_memory", "_lost_way", "_may_reuse",
        "_means", "_nonce", "_sent", "_transaction", "_used", "began_at", "carrier", "done", "flow",
        "flow_timer", "grant", "moved", "nonce_was_reusable", "order", "way",
    )  # fmt: skip

    def __init__(
        self,
        order: Order,
        means: Means,
        *,
        finished: "Callable[[Exchange, Result], None]",
        lost_way: "Callable[[Exchange, Result], None]",
    ) -> None:
        self.order = order
        self.way = order.ways.pop(0)
        self.flow: Flow | None = None
        self.carrier: Flow | None = None
        self.grant: bindings.Grant | None = None
        self.flow_timer: int | None = None
        self.moved = False
        self.done = False
        self.began_at = means.clock.monotonic()
        self._means = means
        self._attempt = Attempt(order.expires, targets_left=len(order.ways), plain=order.desk.plain)
        self._finished = finished
        self._lost_way = lost_way
        self._nonce = live_nonce(order.trace.nonce, order.claim.nonce_count)
        self._may_reuse = order.desk.takes_used_nonces(means.clock.wall())
        self.nonce_was_reusable: bool | None = None
        self._answers: dict[bool, Authorized] = {}
        self._sent = 0
        self._transaction = ""
        self._used: tuple[str, int] = ("", 0)
        self._from_memory = False
        self._alarm: Alarm | None = None

    def start(self, flow: Flow) -> None:
        """Send the first REGISTER over a flow to the current way."""
        self.flow = flow
        self._answers.clear()
        if self._nonce is not None and self._may_reuse:
            ahead = self._reuse(self._nonce)
            if ahead is not None:
                self._nonce, self._attempt.reused = ahead.nonce, True
        self._send()

    def unreachable(self, why: TransportError) -> None:
        """No flow could be had to the current way."""
        untrusted = isinstance(why, UntrustedPeer)
        self._do_without_answer(Outcome.UNTRUSTED if untrusted else Outcome.UNREACHABLE)

    def abort(self) -> None:
        """Forget it all; no result is told."""
        self.done = True
        self._quiet()

    def take_next_way(self) -> Way:
        """Turn to the next address."""
        self.way = self.order.ways.pop(0)
        return self.way

    @property
    def plain(self) -> bool:
        """Whether the registrar was spared all optional headers."""
        return self._attempt.plain

    @property
    def offered(self) -> int:
        """Seconds that were asked for last."""
        return self._attempt.offered

    @property
    def password_realms(self) -> tuple[str, ...]:
        """The realms where the password itself was used: of a proxy, of the registrar, or both."""
        if not self.order.opened.password_based:
            return ()
        used = (answer for answer in self._answers.values() if answer.password_based)
        return tuple(dict.fromkeys(answer.nonce.realm for answer in used))

    def trace(self) -> Trace:
        """What the next attempt, perhaps of another process, needs to know."""
        if self.flow is None:
            return self.order.trace
        route = self.grant.service_route if self.grant else ()
        return Trace(self._nonce, route, self.flow.transport, self.flow.local, self._used)

    def hear(self, event: ResponseReceived | RequestTimedOut | RequestFailed) -> None:
        """Take in what became of the last REGISTER."""
        if self.done or (isinstance(event, ResponseReceived) and event.response.status < 200):
            return
        self._quiet()
        if isinstance(event, ResponseReceived):
            self.carrier = event.flow
            self._hear_final(event.response)
            return
        timed_out = isinstance(event, RequestTimedOut)
        self._do_without_answer(Outcome.TIMEOUT if timed_out else Outcome.UNREACHABLE)

    def _do_without_answer(self, outcome: Outcome) -> None:
        self._do(self._attempt.unanswered(outcome), Result(outcome))

    def _hear_final(self, response: Response) -> None:
        refused = Result(Outcome.OVERLOADED, response.status, retry_after=_retry_after(response))
        try:
            self._do(self._step_after(response), refused)
        except ProtocolError:  # their nonsense, or a text of the account that no header can hold
            self._end(Result(Outcome.MISFIT, response.status))

    def _step_after(self, response: Response) -> Step | Result:
        means = meaning(response.status)
        if means is Meaning.OK:
            return self._registered(response)
        if means is Meaning.CHALLENGE:
            return self._challenged(response)
        return self._attempt.refused_with(
            response.status, retry_after=_retry_after(response), min_expires=response.min_expires
        )

    def _registered(self, response: Response) -> Result:
        if self._attempt.reused:
            self.nonce_was_reusable = True
        if self._attempt.offered == 0:
            return Result(Outcome.RELEASED, response.status)
        grant = bindings.read_grant(response, self.order.identity, self._attempt.offered)
        self._nonce = next_nonce(response, self._answers)
        if grant.seconds <= 0:
            return Result(Outcome.NOT_BOUND, response.status)
        self.grant = grant
        self.flow_timer = bindings.flow_timer(response)
        self.moved = self._was_seen_elsewhere(response)
        return Result(Outcome.REGISTERED, response.status, grant.seconds)

    def _challenged(self, response: Response) -> Step | Result:
        proxy = response.status == 407
        challenges = [one for one in read_challenges(response) if one.proxy is proxy]
        if self._attempt.reused and not any(one.stale for one in challenges):
            self.nonce_was_reusable = False
        step = self._attempt.challenged_with(response.status, challenges)
        if step is Step.ANSWER and not self._answer(challenges, proxy=proxy):
            return Result(Outcome.NO_CREDENTIALS, response.status)
        return step

    def _answer(self, challenges: Sequence[DigestChallenge], *, proxy: bool) -> bool:
        """Answer these challenges, and the earlier ones again; False when the vault refuses."""
        answered = self.order.opened.authorize(
            challenges,
            method=METHOD,
            uri=self.order.place.uri,
            cnonce=self._cnonce(),
            remembered=self.order.trace.nonce,
            allow_downgrade=self.order.provider.allow_downgrade,
        )
        if not isinstance(answered, Authorized):
            return False
        self._renew_answers(except_for=proxy)
        self._answers[proxy] = answered
        return True

    def _renew_answers(self, *, except_for: bool | None = None) -> None:
        """A nonce is used again under its next count."""
        for proxy, old in list(self._answers.items()):
            if proxy is not except_for:
                self._reuse(old.nonce)

    def _reuse(self, nonce: NonceState) -> Authorized | None:
        uri, cnonce = self.order.place.uri, self._cnonce()
        again = self.order.opened.reuse(nonce, method=METHOD, uri=uri, cnonce=cnonce)
        if not isinstance(again, Authorized):
            self._answers.pop(nonce.proxy, None)
            return None
        self._answers[nonce.proxy] = again
        return again

    def _do(self, step: Step | Result, why: Result) -> None:
        """Take the step; `why` is what the address is blamed for if it is left for the next."""
        if isinstance(step, Result):
            self._end(step)
        elif step is Step.NEXT_TARGET:
            self._lost_way(self, why)
        else:
            if step is not Step.ANSWER:
                self._renew_answers()
            self._send()

    def _send(self) -> None:
        if self._sent >= CSEQ_PER_CLAIM:
            self._end(Result(Outcome.CHALLENGE_LOOP))
            return
        assert self.flow is not None
        self._used = self._own_address(self.flow)
        try:
            request = bindings.build_register(
                self.order.opened.account,
                self.order.place,
                self.order.identity,
                self._ask(self.flow),
                user_agent=self._means.user_agent,
                answers=self._answers.values(),
            )
        except ProtocolError:  # a text of the account that no header can hold
            self._end(Result(Outcome.MISFIT))
            return
        self._sent += 1
        self._transaction = self._means.endpoint.send(request, self.flow, self.hear)
        if self._attempt.targets_left:
            now = self._means.clock.monotonic()
            self._alarm = self._means.clock.call_at(now + PATIENCE, self._lose_patience)

    def _ask(self, flow: Flow) -> Ask:
        host, port = self._used
        return Ask(
            cseq=self.order.claim.cseq + self._sent,
            expires=self._attempt.offered,
            host=host,
            port=port,
            transport=flow.transport,
            plain=self._attempt.plain,
            old_contact=self._old_contact(flow),
        )

    def _old_contact(self, flow: Flow) -> str:
        """The Contact that the registrar still holds, to be removed when ours has changed."""
        trace, alive = self.order.trace, self.order.claim.bound_until or 0.0
        if (trace.transport, trace.contact) == (flow.transport, self._used):
            return ""
        if trace.transport is None or alive <= self._means.clock.wall():
            return ""
        return bindings.contact_uri(self.order.identity, *trace.contact, trace.transport)

    def _own_address(self, flow: Flow) -> tuple[str, int]:
        """The address for our Contact: before anything is learnt, that of the last registration."""
        address = self._means.endpoint.contact_address(flow)
        trace = self.order.trace
        self._from_memory = (
            self._means.learns
            and flow.transport is Transport.UDP
            and address == flow.local == trace.local
        )
        return trace.contact if self._from_memory else address

    def _was_seen_elsewhere(self, response: Response) -> bool:
        """Whether the Contact just registered is not where the registrar sees us."""
        assert self.flow is not None
        if self.carrier is not self.flow:
            return False
        if self._from_memory:
            seen = seen_address(response)
            return seen is not None and seen != self._used
        return self._means.endpoint.contact_address(self.flow) != self._used

    def _lose_patience(self) -> None:
        if not self.done:
            self._means.endpoint.abandon(self._transaction)
            self._do_without_answer(Outcome.TIMEOUT)

    def _end(self, result: Result) -> None:
        self.done = True
        self._quiet()
        self._finished(self, result)

    def _quiet(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.done and self._transaction:
            self._means.endpoint.abandon(self._transaction)

    def _cnonce(self) -> str:
        return self._means.entropy(16).hex()


def _retry_after(response: Response) -> float | None:
    try:
        stated = response.retry_after
    except RemoteProtocolError:
        return None
    return None if stated is None else float(stated.seconds)
