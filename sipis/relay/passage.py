"""Requests inside a running call: from one leg to the other, and their responses back.

One offer at a time: whoever comes while another's is open gets 491, or 500 for a second one of its
own (RFC 3261 14.2, RFC 3311 5.2). The ACK to a re-INVITE crosses as the INVITE did.
Refuses BYE and the first ACK, which are the call machine's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.relay.headers import ALLOW, IN_DIALOG, carried, unsupported
from sipis.relay.legs import Leg
from sipis.relay.ports import Outcome
from sipis.sip.events import RequestReceived, RequestTimedOut, ResponseReceived
from sipis.sip.flow import Door
from sipis.sip.message import Request, Response

OTHER: Final = {Door.PROVIDER: Door.APP, Door.APP: Door.PROVIDER}
RETRY_AFTER: Final = ("Retry-After", "2")
_ENDS_A_DIALOG: Final = frozenset({408, 481})
_OWN_USAGE: Final = frozenset({"NOTIFY", "REFER"})
"""Their 481 ends a subscription, not the call (RFC 5057 5.1)."""
_REPLACED: Final = {401: 403, 407: 403}
"""A challenge is a refusal to the other end, which does not know our account."""

Translate = Callable[[Request], list[tuple[str, str]]]
"""The headers of a request as they cross, names of dialogs put into the other leg's words."""


@dataclass(slots=True)
class _Crossing:
    """A request on its way through the call."""

    event: RequestReceived
    origin: Leg
    goal: Leg
    sent_as: str = ""
    """Our transaction, once sent."""
    number: int = 0
    """Our CSeq."""
    answered: bool = False

    @property
    def request(self) -> Request:
        """As it came."""
        return self.event.request

    @property
    def offers(self) -> bool:
        """Whether it is part of an exchange of offer and answer."""
        return self.request.method == "INVITE" or (
            self.request.method == "UPDATE" and bool(self.request.body)
        )


class Passage:
    """What passes between the two legs of one call."""

    def __init__(self, legs: dict[Door, Leg], translate: Translate) -> None:
        self._legs = legs
        self._translate = translate
        self._offer: _Crossing | None = None
        self.lost: Callable[[Door], None] = _ignore

    def receive(self, side: Door, event: RequestReceived) -> None:
        """Take a request of one leg: pass it on or answer what it owes."""
        leg, request = self._legs[side], event.request
        try:
            refusal = self._refusal(side, leg, request)
            headers = [] if refusal else self._translate(request)
        except RemoteProtocolError as broken:
            refusal, headers = (broken.status_hint or 400, []), []
        if refusal is not None:
            leg.answer(event, *refusal)
            return
        self._pass(_Crossing(event, leg, self._legs[OTHER[side]]), headers)

    def acknowledge(self, side: Door, ack: Request) -> None:
        """Pass the ACK to a re-INVITE on."""
        offer = self._offer
        if offer is None or not offer.answered or offer.origin.side is not side:
            return
        if ack.cseq.number == offer.request.cseq.number:
            self._offer = None
            offer.goal.ack(offer.number, offer.sent_as, list(carried(ack)), ack)

    def cancel(self, transaction: str, cancel: Callable[[str], None]) -> bool:
        """Pass the CANCEL of a re-INVITE on; False when it is about something else."""
        offer = self._offer
        if offer is None or offer.event.transaction != transaction:
            return False
        if offer.sent_as:
            cancel(offer.sent_as)
        return True

    def ack_missing(self, transaction: str) -> bool:
        """Whether the ACK that never came was one to a re-INVITE of this call."""
        offer = self._offer
        if offer is None or offer.event.transaction != transaction:
            return False
        self._offer = None
        if offer.answered:
            self.lost(offer.origin.side)
        return True

    def _refusal(
        self, side: Door, leg: Leg, request: Request
    ) -> tuple[int, list[tuple[str, str]]] | None:
        """The status owed instead of passing, with its headers."""
        owed = leg.dialog.receive(request)
        if owed is not None:
            return owed, []
        if request.method not in IN_DIALOG:
            return 405, [("Allow", ALLOW)]
        missing = unsupported(request)
        if missing:
            return 420, [("Unsupported", ", ".join(missing))]
        if self._offer is not None and may_offer(request):
            return (500, [RETRY_AFTER]) if self._offer.origin.side is side else (491, [])
        return None

    def _pass(self, crossing: _Crossing, headers: list[tuple[str, str]]) -> None:
        if crossing.offers:
            self._offer = crossing

        def note(transaction: str) -> None:
            crossing.sent_as = transaction

        def hear(outcome: Outcome) -> None:
            self._hear(crossing, outcome)

        crossing.goal.send(crossing.request.method, headers, crossing.request, hear, note)
        crossing.number = crossing.goal.dialog.local_seq or 0

    def _hear(self, crossing: _Crossing, outcome: Outcome) -> None:
        if isinstance(outcome, ResponseReceived):
            self._hear_response(crossing, outcome.response)
            return
        self._settle(crossing)
        timed_out = isinstance(outcome, RequestTimedOut)
        self._refuse(crossing, 408 if timed_out else 500)

    def _hear_response(self, crossing: _Crossing, response: Response) -> None:
        status = response.status
        if status == 100:
            return
        if status >= 300:
            self._settle(crossing)
        elif status >= 200:
            self._succeed(crossing, response)
        if status in _ENDS_A_DIALOG:
            self._refuse(crossing, status)
        elif 300 <= status < 400:
            self._refuse(crossing, 480)
        else:
            self._relay(crossing, response)

    def _succeed(self, crossing: _Crossing, response: Response) -> None:
        crossing.answered = True
        crossing.origin.follow(crossing.request)
        crossing.goal.follow(response)
        if crossing.request.method != "INVITE":
            self._settle(crossing)

    def _relay(self, crossing: _Crossing, response: Response) -> None:
        status = _REPLACED.get(response.status, response.status)
        crossing.origin.answer(crossing.event, status, list(carried(response)), response)

    def _refuse(self, crossing: _Crossing, status: int) -> None:
        crossing.origin.answer(crossing.event, status)
        if status in _ENDS_A_DIALOG and crossing.request.method not in _OWN_USAGE:
            self.lost(crossing.goal.side)

    def _settle(self, crossing: _Crossing) -> None:
        if self._offer is crossing:
            self._offer = None


def may_offer(request: Request) -> bool:
    """Whether a request can carry an offer (RFC 3264): then it must wait its turn."""
    return request.method == "INVITE" or (request.method == "UPDATE" and bool(request.body))


def _ignore(_side: Door) -> None:
    """Until a call wants to know."""
