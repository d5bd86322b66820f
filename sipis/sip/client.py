"""The client transactions: requests of ours, until nothing about them can arrive any more.

Carries out what the tables CLIENT_INVITE, CLIENT_REQUEST and CLIENT_CANCEL order. Refuses to build
the ACK to a 2xx: that belongs to the dialog; it is remembered here and repeated.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sipis.errors import LocalProtocolError
from sipis.sip.drafts import Draft, Drafts
from sipis.sip.events import (
    DetourFailed,
    RequestFailed,
    RequestTimedOut,
    ResponseReceived,
    TooLarge,
)
from sipis.sip.flow import Flow
from sipis.sip.hop import ack_to_refusal, cancel_of, via_value, with_via
from sipis.sip.keys import MAGIC_COOKIE, client_key, response_key
from sipis.sip.machine import Machine, Outlet, Transaction, TransactionWheel
from sipis.sip.message import Message, Request, Response
from sipis.sip.transaction import CLIENT_CANCEL, CLIENT_INVITE, CLIENT_REQUEST, Action, Input, State

MAX_FORKS: Final = 32
"""To tags of 2xx to one INVITE that are told; more callees than that answer only to flood us."""

Headers = Sequence[tuple[str, str]]

_Association = tuple[int, tuple[str, int]]

_UNANSWERED: Final = frozenset({State.CALLING, State.TRYING})


class ClientTransaction(Transaction):
    """A request of ours; `heard` is the fingerprint of the last provisional response."""

    __slots__ = ("association", "heard")

    table = CLIENT_REQUEST

    def __init__(self, id_: str, flow: Flow, wire: bytes) -> None:
        super().__init__(id_, flow, wire)
        self.association = _association(flow)
        self.heard = 0


class CancelClient(ClientTransaction):
    """A CANCEL of ours."""

    __slots__ = ()

    table = CLIENT_CANCEL


class InviteClient(ClientTransaction):
    """An INVITE of ours, what its ACK and CANCEL are made of, and the ACKs of its 2xx by To tag."""

    __slots__ = ("acks", "cancel_headers", "request", "via")

    table = CLIENT_INVITE

    def __init__(self, id_: str, flow: Flow, request: Request, via: str) -> None:
        super().__init__(id_, flow, with_via(request, via))
        self.request = request
        self.via = via
        self.cancel_headers: Headers = ()
        self.acks: dict[str | None, tuple[bytes, Flow] | None] = {}


class Clients(Machine[ClientTransaction]):
    """All client transactions of a stack."""

    def __init__(
        self,
        wheel: TransactionWheel,
        outlet: Outlet,
        token: Callable[[], str],
        largest: int | None = None,
    ) -> None:
        """`largest` bytes of a request leave over UDP; larger ones wait for a word."""
        super().__init__(
            wheel,
            outlet,
            {
                Action.ACKNOWLEDGE: self._acknowledge,
                Action.REPEAT_ACK: self._repeat_ack,
                Action.SEND_CANCEL: self._send_cancel,
                Action.NOTE_ANSWER: self._note_answer,
                Action.TELL_RESPONSE: self._tell_response,
                Action.TELL_TIMEOUT: self._tell_timeout,
                Action.TELL_FAILURE: self._tell_failure,
            },
        )
        self._token = token
        self._drafts = Drafts(largest)
        self._on_flow: dict[_Association, dict[ClientTransaction, None]] = {}

    def __len__(self) -> int:
        return super().__len__() + len(self._drafts)

    def start(
        self, request: Request, flow: Flow, now: float, *, host: str, port: int | None, rport: bool
    ) -> str:
        """Send a request; returns the id of its transaction. `host` and `port` go into the Via.

        Raises LocalProtocolError for ACK and CANCEL, which are no requests of their own.
        """
        if request.method in ("ACK", "CANCEL"):
            raise LocalProtocolError(f"{request.method} is sent through its INVITE")
        branch = MAGIC_COOKIE + self._token()
        via = via_value(flow.transport, host, port, branch, rport=rport)
        transaction = _new(client_key(branch, request.method), request, flow, via)
        if self._drafts.too_large(transaction.wire, flow):
            draft = Draft(request, flow, branch, host, port, rport=rport)
            self._put_off(transaction.id, draft)
        else:
            self._begin(transaction, now)
        return transaction.id

    def detour(self, id_: str, stream: Flow, now: float, *, host: str, port: int | None) -> None:
        """Send what was too large over a stream; without effect once it was given up."""
        draft = self._drafts.send_out(id_)
        if draft is not None:
            self._leave(id_, draft, stream, now, host=host, port=port)

    def insist(self, id_: str, now: float) -> None:
        """Send what was too large over its own flow nevertheless."""
        draft = self._drafts.take(id_)
        if draft is not None:
            self._leave(id_, draft, draft.flow, now, host=draft.host, port=draft.port)

    def receive(self, response: Response, fingerprint: int, now: float) -> None:
        """Hand a response to its transaction; one that matches none is dropped (RFC 6026 7.2)."""
        transaction = self._transactions.get(response_key(response))
        if transaction is not None:
            self.step(transaction, _input(transaction, response, fingerprint), now, response)

    def acknowledge(
        self, ack: Request, flow: Flow, invite: str, *, host: str, port: int | None
    ) -> None:
        """Send the ACK to a 2xx and remember it for repeats of that 2xx (RFC 3261 13.2.2.4)."""
        branch = MAGIC_COOKIE + self._token()
        wire = with_via(ack, via_value(flow.transport, host, port, branch, rport=True))
        if self._drafts.too_large(wire, flow):
            draft = Draft(ack, flow, branch, host, port, rport=True, invite=invite)
            self._put_off(client_key(branch, "ACK"), draft)
        else:
            self._send_ack(ack.to_tag, wire, flow, invite)

    def cancel(self, id_: str, now: float, headers: Headers) -> None:
        """Give up an INVITE; without effect once it has its final response."""
        if self._drafts.take(id_) is not None:
            self._outlet.tell(RequestFailed(id_, "given up before it was sent"))
        transaction = self._transactions.get(id_)
        if isinstance(transaction, InviteClient):
            transaction.cancel_headers = headers
            self.step(transaction, Input.CANCEL, now)

    def abandon(self, id_: str) -> None:
        """Forget a transaction: nothing more is sent, what still comes is dropped."""
        self._drafts.take(id_)
        transaction = self._transactions.get(id_)
        if transaction is not None:
            self._forget(transaction)

    def lose_flow(self, flow: Flow, now: float) -> None:
        """Fail what was sent over a flow that is no more (RFC 3261 17.1.4)."""
        for transaction in list(self._on_flow.get(_association(flow), ())):
            if not self._fall_back(transaction, now):
                self.step(transaction, Input.FLOW_LOST, now)

    def _put_off(self, id_: str, draft: Draft) -> None:
        self._drafts.keep(id_, draft)
        self._outlet.tell(TooLarge(id_, draft.flow))

    def _leave(
        self, id_: str, draft: Draft, flow: Flow, now: float, *, host: str, port: int | None
    ) -> None:
        """Send a draft over the flow that was chosen, under its Via."""
        via = via_value(flow.transport, host, port, draft.branch, rport=draft.rport)
        if draft.invite is None:
            self._begin(_new(id_, draft.request, flow, via), now)
        else:
            wire = with_via(draft.request, via)
            self._send_ack(draft.request.to_tag, wire, flow, draft.invite)

    def _fall_back(self, transaction: ClientTransaction, now: float) -> bool:
        """Send over its own flow what nobody has answered over a stream that is no more."""
        draft = self._drafts.sent_out(transaction.id)
        if draft is None or transaction.state not in _UNANSWERED:
            return False
        self._forget(transaction)
        self._outlet.tell(DetourFailed(draft.flow))
        self._leave(transaction.id, draft, draft.flow, now, host=draft.host, port=draft.port)
        return True

    def _send_ack(self, to_tag: str | None, wire: bytes, flow: Flow, invite: str) -> None:
        self._outlet.send(wire, flow)
        transaction = self._transactions.get(invite)
        if isinstance(transaction, InviteClient):
            transaction.acks[to_tag] = wire, flow

    def _begin(
        self, transaction: ClientTransaction, now: float, message: Message | None = None
    ) -> None:
        self._on_flow.setdefault(transaction.association, {})[transaction] = None
        super()._begin(transaction, now, message)

    def _forget(self, transaction: ClientTransaction) -> None:
        super()._forget(transaction)
        self._drafts.settle(transaction.id)
        fellows = self._on_flow[transaction.association]
        fellows.pop(transaction, None)
        if not fellows:
            del self._on_flow[transaction.association]

    def _acknowledge(
        self, transaction: ClientTransaction, now: float, message: Message | None
    ) -> None:
        assert isinstance(transaction, InviteClient)
        assert isinstance(message, Response)
        ack = ack_to_refusal(transaction.request, message)
        transaction.wire = with_via(ack, transaction.via)
        self._send(transaction, now)

    def _repeat_ack(
        self, transaction: ClientTransaction, _now: float, message: Message | None
    ) -> None:
        assert isinstance(transaction, InviteClient)
        assert message is not None
        remembered = transaction.acks.get(message.to_tag)
        if remembered is not None:
            self._outlet.send(*remembered)

    def _send_cancel(
        self, transaction: ClientTransaction, now: float, _message: Message | None
    ) -> None:
        assert isinstance(transaction, InviteClient)
        cancel = cancel_of(transaction.request, transaction.cancel_headers)
        id_ = client_key(transaction.id.partition(" ")[0], "CANCEL")
        self._begin(CancelClient(id_, transaction.flow, with_via(cancel, transaction.via)), now)

    def _note_answer(
        self, transaction: ClientTransaction, _now: float, message: Message | None
    ) -> None:
        assert isinstance(transaction, InviteClient)
        assert message is not None
        transaction.acks[message.to_tag] = None

    def _tell_response(
        self, transaction: ClientTransaction, _now: float, message: Message | None
    ) -> None:
        assert isinstance(message, Response)
        self._outlet.tell(ResponseReceived(message, transaction.id, transaction.flow))

    def _tell_timeout(
        self, transaction: ClientTransaction, _now: float, _message: Message | None
    ) -> None:
        draft = self._drafts.sent_out(transaction.id)
        if draft is not None and not transaction.heard:
            self._outlet.tell(DetourFailed(draft.flow))
        self._outlet.tell(RequestTimedOut(transaction.id))

    def _tell_failure(
        self, transaction: ClientTransaction, _now: float, _message: Message | None
    ) -> None:
        self._outlet.tell(RequestFailed(transaction.id, "flow lost"))


def _new(id_: str, request: Request, flow: Flow, via: str) -> ClientTransaction:
    if request.method == "INVITE":
        return InviteClient(id_, flow, request, via)
    return ClientTransaction(id_, flow, with_via(request, via))


def _association(flow: Flow) -> _Association:
    """What tells flows apart, at a fraction of the cost of hashing them whole."""
    return flow.id, flow.remote


def _input(transaction: ClientTransaction, response: Response, fingerprint: int) -> Input:
    if response.status >= 300:
        return Input.REFUSAL
    if response.status >= 200:
        known = isinstance(transaction, InviteClient) and _is_known(transaction, response.to_tag)
        return Input.REPEATED if known else Input.SUCCESS
    if transaction.heard == fingerprint:
        return Input.REPEATED
    transaction.heard = fingerprint
    return Input.PROVISIONAL


def _is_known(transaction: InviteClient, tag: str | None) -> bool:
    return tag in transaction.acks or len(transaction.acks) >= MAX_FORKS
