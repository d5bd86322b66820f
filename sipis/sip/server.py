"""The server transactions: requests of peers, until no repeat of them can arrive any more.

Carries out what the tables SERVER_INVITE and SERVER_REQUEST order. Refuses to compose answers
other than 100: those are the transaction user's.
"""

from collections.abc import Callable

from sipis.errors import LocalProtocolError
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived
from sipis.sip.flow import Flow
from sipis.sip.keys import ack_key, merge_key, server_key
from sipis.sip.machine import Machine, Outlet, Transaction, TransactionWheel
from sipis.sip.message import Message, Request, Response, response_to
from sipis.sip.transaction import SERVER_INVITE, SERVER_REQUEST, Action, Input


class ServerTransaction(Transaction):
    """A request of a peer, kept until the first response, and what copies of it would share."""

    __slots__ = ("merge_key", "request")

    table = SERVER_REQUEST

    def __init__(self, id_: str, flow: Flow, request: Request, merge_key: str | None) -> None:
        super().__init__(id_, flow, None)
        self.request: Request | None = request
        self.merge_key = merge_key


class InviteServer(ServerTransaction):
    """An INVITE of a peer, the To tag that we gave, and what the ACK to our 2xx will share."""

    __slots__ = ("ack_key", "local_tag")

    table = SERVER_INVITE

    def __init__(self, id_: str, flow: Flow, request: Request, merge_key: str | None) -> None:
        super().__init__(id_, flow, request, merge_key)
        self.local_tag: str | None = None
        self.ack_key: str | None = None


class Servers(Machine[ServerTransaction]):
    """All server transactions of a stack.

    `instance_of` names the instance that a request is for; `quiet` tells flows over which nothing
    is sent unless the transaction user says so.
    """

    def __init__(
        self,
        wheel: TransactionWheel,
        outlet: Outlet,
        *,
        instance_of: Callable[[Request], str],
        quiet: Callable[[Flow], bool],
    ) -> None:
        super().__init__(
            wheel,
            outlet,
            {
                Action.ANSWER: self._answer,
                Action.NOTE_ANSWER: self._note_answer,
                Action.SEND_TRYING: self._send_trying,
                Action.TELL_REQUEST: self._tell_request,
                Action.TELL_ACK: self._tell_ack,
                Action.TELL_CANCEL: self._tell_cancel,
                Action.TELL_ACK_MISSING: self._tell_ack_missing,
            },
        )
        self._instance_of = instance_of
        self._quiet = quiet
        self._by_merge_key: dict[str, ServerTransaction] = {}
        self._by_ack_key: dict[str, InviteServer] = {}

    def absorb(self, request: Request, now: float) -> bool:
        """Whether the request repeats a known one; its last response was then sent again."""
        transaction = self._transactions.get(server_key(request))
        if transaction is None:
            return False
        self.step(transaction, Input.REQUEST, now, request)
        return True

    def is_merged(self, request: Request) -> bool:
        """Whether another copy of the request came before on another way (RFC 3261 8.2.2.2)."""
        key = self._merge_key(request)
        return key is not None and key in self._by_merge_key

    def start(self, request: Request, flow: Flow, now: float) -> None:
        """Begin a transaction for a request that neither repeats nor merges with another."""
        kind = InviteServer if request.method == "INVITE" else ServerTransaction
        key = self._merge_key(request)
        transaction = kind(server_key(request), flow, request, key)
        if key is not None:
            self._by_merge_key[key] = transaction
        self._begin(transaction, now, request)

    def acknowledge(self, ack: Request, now: float) -> bool:
        """Hand an ACK to its INVITE, by branch or, for a 2xx, by dialog; False if there is none."""
        transaction = self._by_ack_key.get(ack_key(ack)) or self._refused_invite(ack)
        if transaction is None:
            return False
        self.step(transaction, Input.ACK, now, ack)
        return True

    def cancel(self, cancel: Request, flow: Flow, now: float) -> InviteServer | None:
        """Hand a CANCEL to its INVITE, which must have come from the same source (RFC 3261 9.2)."""
        transaction = self._transactions.get(server_key(cancel))
        if not isinstance(transaction, InviteServer) or not transaction.flow.same_source(flow):
            return None
        self.step(transaction, Input.CANCEL, now, cancel)
        return transaction

    def respond(self, id_: str, response: Response, now: float) -> None:
        """Send a response; dropped when it is late or when RFC 4320 forbids it.

        Raises LocalProtocolError for a final response to INVITE without a To tag.
        """
        transaction = self._transactions.get(id_)
        if transaction is None:
            return
        invited = isinstance(transaction, InviteServer)
        if invited and response.status >= 200 and response.to_tag is None:
            raise LocalProtocolError("a final response to INVITE needs a To tag")
        if invited or response.status != 408:
            self.step(transaction, _input(response.status), now, response)

    def drop(self, id_: str) -> None:
        """Forget a transaction without an answer."""
        transaction = self._transactions.get(id_)
        if transaction is not None:
            self._forget(transaction)

    def _refused_invite(self, ack: Request) -> InviteServer | None:
        transaction = self._transactions.get(server_key(ack))
        if not isinstance(transaction, InviteServer) or transaction.local_tag != ack.to_tag:
            return None
        return transaction

    def _merge_key(self, request: Request) -> str | None:
        if request.to_tag is not None:
            return None
        return merge_key(request, self._instance_of(request))

    def _forget(self, transaction: ServerTransaction) -> None:
        super()._forget(transaction)
        if transaction.merge_key is not None:
            self._by_merge_key.pop(transaction.merge_key, None)
        if isinstance(transaction, InviteServer) and transaction.ack_key is not None:
            self._by_ack_key.pop(transaction.ack_key, None)

    def _answer(self, transaction: ServerTransaction, now: float, message: Message | None) -> None:
        assert isinstance(message, Response)
        if isinstance(transaction, InviteServer) and message.status > 100:
            transaction.local_tag = message.to_tag
        transaction.request = None
        transaction.wire = message.to_bytes()
        self._send(transaction, now)

    def _note_answer(
        self, transaction: ServerTransaction, _now: float, message: Message | None
    ) -> None:
        assert isinstance(transaction, InviteServer)
        assert isinstance(message, Response)
        transaction.ack_key = ack_key(message)
        self._by_ack_key[transaction.ack_key] = transaction

    def _send_trying(
        self, transaction: ServerTransaction, now: float, _message: Message | None
    ) -> None:
        assert transaction.request is not None
        if not self._quiet(transaction.flow):
            transaction.wire = response_to(transaction.request, 100).to_bytes()
            self._send(transaction, now)

    def _tell_request(
        self, transaction: ServerTransaction, now: float, message: Message | None
    ) -> None:
        assert isinstance(message, Request)
        self._outlet.tell(RequestReceived(message, transaction.flow, transaction.id, now))

    def _tell_ack(
        self, transaction: ServerTransaction, _now: float, message: Message | None
    ) -> None:
        assert isinstance(message, Request)
        self._outlet.tell(RequestReceived(message, transaction.flow, None))

    def _tell_cancel(
        self, transaction: ServerTransaction, _now: float, message: Message | None
    ) -> None:
        assert isinstance(message, Request)
        self._outlet.tell(CancelReceived(message, transaction.flow, transaction.id))

    def _tell_ack_missing(
        self, transaction: ServerTransaction, _now: float, _message: Message | None
    ) -> None:
        self._outlet.tell(AckMissing(transaction.id))


def _input(status: int) -> Input:
    if status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if status < 300 else Input.REFUSAL
