"""One SIP element without its sockets: bytes, time and random text in; bytes, events, deadline out.

The owner's loop is: hand in what arrived, take the events, send the datagrams, come back at the
deadline. Refuses I/O, clocks and randomness, and refuses policy: what a request is answered, and
whether at all, is said through `respond()` and `drop()`.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.client import Clients, ClientTransaction
from sipis.sip.events import Event, FlowPong, Malformed, Overloaded, RequestReceived
from sipis.sip.flow import Flow
from sipis.sip.grammar import split_list
from sipis.sip.hop import note_source
from sipis.sip.keys import server_key
from sipis.sip.limits import MAX_DATAGRAM, MAX_STREAM_MESSAGE
from sipis.sip.machine import Outlet, TransactionWheel
from sipis.sip.message import (
    Request,
    Response,
    parse_message,
    response_to,
    salvage_request,
)
from sipis.sip.server import Servers, ServerTransaction
from sipis.sip.validation import MERGED, Fault, fault_of

MAX_TRANSACTIONS: Final = 200_000
"""Transactions of both sides together; while there are as many, new requests are dropped."""

_BLANK: Final = b"\r\n\0 \t"
_PING: Final = b"\r\n\r\n"
_PONG: Final = b"\r\n"


class Stack:
    """The transaction layer with the parts of the UA core that need its timers.

    `token()` gives fresh random text of at least 128 bits. `instance_of` names what a request is
    for, so that forks to two instances are no merged requests (RFC 3261 8.2.2.2); by default the
    Request-URI. Over a flow that `quiet` knows nothing is sent that the owner did not order.
    A request of more than `largest_request` bytes waits for the owner's word instead of leaving
    over UDP (TooLarge); without this bound none does.
    """

    def __init__(
        self,
        *,
        token: Callable[[], str],
        instance_of: Callable[[Request], str] | None = None,
        quiet: Callable[[Flow], bool] | None = None,
        most_transactions: int = MAX_TRANSACTIONS,
        largest_request: int | None = None,
    ) -> None:
        self._token = token
        self._salt = token().encode()
        self._quiet = quiet or _never
        self._most_transactions = most_transactions
        self._wheel = TransactionWheel()
        self._outlet = Outlet()
        self._clients = Clients(self._wheel, self._outlet, token, largest_request)
        self._servers = Servers(
            self._wheel, self._outlet, instance_of=instance_of or _request_uri, quiet=self._quiet
        )

    @property
    def transactions(self) -> int:
        """How many transactions exist."""
        return len(self._clients) + len(self._servers)

    def serves(self, transaction: str) -> bool:
        """Whether the transaction of a request that came in still exists."""
        return transaction in self._servers

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take in one datagram or one framed message; nothing in it can raise an error."""
        if data[:1] in _BLANK and not data.strip(_BLANK):
            self._receive_keepalive(data, flow)
            return
        try:
            limit = MAX_STREAM_MESSAGE if flow.transport.reliable else MAX_DATAGRAM
            message = parse_message(data, limit=limit)
            if isinstance(message, Response):
                self._receive_response(message, hash(data), now)
            else:
                self._receive_request(message, flow, now)
        except RemoteProtocolError as error:
            self._receive_malformed(data, flow, error)

    def send_request(
        self,
        request: Request,
        flow: Flow,
        now: float,
        *,
        via_host: str,
        via_port: int | None,
        rport: bool = True,
    ) -> str:
        """Send a request under a Via of ours; returns the id of its transaction.

        Raises LocalProtocolError for ACK and CANCEL, which have calls of their own.
        """
        return self._clients.start(request, flow, now, host=via_host, port=via_port, rport=rport)

    def detour(
        self, transaction: str, stream: Flow, now: float, *, via_host: str, via_port: int | None
    ) -> None:
        """Send a request that was too large over a stream; it goes back to its flow with that one.

        Without effect once the request was given up.
        """
        self._clients.detour(transaction, stream, now, host=via_host, port=via_port)

    def insist(self, transaction: str, now: float) -> None:
        """Send a request that was too large over its own flow nevertheless."""
        self._clients.insist(transaction, now)

    def send_ack(
        self,
        ack: Request,
        flow: Flow,
        _now: float,
        *,
        via_host: str,
        via_port: int | None,
        invite: str,
    ) -> None:
        """Send the ACK to a 2xx; the stack sends it again whenever that 2xx comes again."""
        self._clients.acknowledge(ack, flow, invite, host=via_host, port=via_port)

    def cancel(
        self, transaction: str, now: float, *, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Give up an INVITE; the CANCEL waits for a provisional response (RFC 3261 9.1)."""
        self._clients.cancel(transaction, now, headers)

    def respond(self, transaction: str, response: Response, now: float) -> None:
        """Answer a request; a late answer, and one that RFC 4320 forbids, is dropped.

        A final response to INVITE is repeated until its ACK, else AckMissing is told. Raises
        LocalProtocolError when such a response lacks a To tag.
        """
        self._servers.respond(transaction, response, now)

    def drop(self, transaction: str) -> None:
        """Forget a request without an answer."""
        self._servers.drop(transaction)

    def abandon(self, transaction: str) -> None:
        """Forget a request of ours: no more repeats, and what still comes is ignored."""
        self._clients.abandon(transaction)

    def next_event(self) -> Event | None:
        """The next thing that happened; None when all is told."""
        return self._outlet.events.popleft() if self._outlet.events else None

    def datagrams_to_send(self, _now: float) -> list[tuple[bytes, Flow]]:
        """What must leave now, in order, each with its flow."""
        due = self._outlet.datagrams
        if due:
            self._outlet.datagrams = []
        return due

    def next_deadline(self) -> float | None:
        """When on_timer() is next wanted; None while no timer runs."""
        return self._wheel.next_deadline()

    def on_timer(self, now: float) -> None:
        """Let every timer expire that is due; coming early or late does no harm."""
        for entry in self._wheel.expire(now):
            owner = entry.owner
            if isinstance(owner, ClientTransaction):
                self._clients.step(owner, entry.timer, now)
            else:
                assert isinstance(owner, ServerTransaction)
                self._servers.step(owner, entry.timer, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """Fail the requests of ours that were sent over a flow that is no more."""
        self._clients.lose_flow(flow, now)

    def _receive_keepalive(self, data: bytes, flow: Flow) -> None:
        if data == _PONG:
            self._outlet.tell(FlowPong(flow))
        elif data == _PING and flow.transport.reliable:
            self._outlet.send(_PONG, flow)

    def _receive_response(self, response: Response, fingerprint: int, now: float) -> None:
        if not _has_one_via(response):
            raise RemoteProtocolError("response to somebody else", 0)
        self._clients.receive(response, fingerprint, now)

    def _receive_request(self, request: Request, flow: Flow, now: float) -> None:
        note_source(request, flow)
        if request.method == "ACK":
            self._receive_ack(request, flow, now)
        elif request.method == "CANCEL":
            self._receive_cancel(request, flow, now)
        elif not self._servers.absorb(request, now):
            self._receive_new(request, flow, now)

    def _receive_ack(self, ack: Request, flow: Flow, now: float) -> None:
        if self._servers.acknowledge(ack, now):
            return
        if ack.to_tag not in (None, self._stateless_tag(ack)):
            self._outlet.tell(RequestReceived(ack, flow, None))

    def _receive_cancel(self, cancel: Request, flow: Flow, now: float) -> None:
        invite = self._servers.cancel(cancel, flow, now)
        if invite is None:
            if not self._quiet(flow):
                self._answer(cancel, flow, 481)
        elif invite.wire is not None or not self._quiet(flow):
            self._answer(cancel, flow, 200, invite.local_tag)

    def _receive_new(self, request: Request, flow: Flow, now: float) -> None:
        fault = fault_of(request) or (MERGED if self._servers.is_merged(request) else None)
        if fault is not None:
            self._refuse(request, flow, fault)
        elif self.transactions >= self._most_transactions:
            self._outlet.tell(Overloaded(flow))
        else:
            self._servers.start(request, flow, now)

    def _receive_malformed(self, data: bytes, flow: Flow, error: RemoteProtocolError) -> None:
        request = salvage_request(data) if error.status_hint else None
        if request is None:
            self._outlet.tell(Malformed(flow, str(error), 0))
            return
        note_source(request, flow)
        self._refuse(request, flow, Fault(error.status_hint, str(error)))

    def _refuse(self, request: Request, flow: Flow, fault: Fault) -> None:
        silent = self._quiet(flow)
        if not silent:
            self._answer(request, flow, fault.status)
        self._outlet.tell(Malformed(flow, fault.problem, 0 if silent else fault.status))

    def _answer(self, request: Request, flow: Flow, status: int, tag: str | None = None) -> None:
        """Answer without a transaction (RFC 3261 8.2.7)."""
        response = response_to(request, status, to_tag=tag or self._stateless_tag(request))
        self._outlet.send(response.to_bytes(), flow)

    def _stateless_tag(self, request: Request) -> str:
        """The same To tag for every repeat of a request, and for the ACK to its refusal."""
        try:
            key = server_key(request)
        except RemoteProtocolError:
            return self._token()
        return sha256(self._salt + key.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _has_one_via(response: Response) -> bool:
    lines = response.headers.get_all("via")
    return len(lines) == 1 and ("," not in lines[0] or len(split_list(lines[0])) == 1)


def _never(_flow: Flow) -> bool:
    return False


def _request_uri(request: Request) -> str:
    return request.uri_text
