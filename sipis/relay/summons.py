"""Our INVITE to the app, from its sending to the end of its dialog.

The app tells the call apart by X-Push-Call-ID, the UUID that was in the push.
Refuses further callees: an app is one phone, so a second 2xx (RFC 3261 13.2.2.4) is ended at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.relay.bindings import Binding
from sipis.relay.call import Event, Kind
from sipis.relay.headers import body_for, carried
from sipis.relay.ports import Outcome
from sipis.relay.tools import Tools
from sipis.sip.dialog import Dialog
from sipis.sip.events import ResponseReceived
from sipis.sip.forks import Forks
from sipis.sip.headers import NameAddr
from sipis.sip.message import Request, Response
from sipis.sip.uri import NO_PARAMS

A_PERSONS_NO: Final = frozenset({486, 600, 603, 607, 608})
MAX_FORWARDS: Final = 70
CALL_HEADER: Final = "X-Push-Call-ID"
HOP_HEADER: Final = "X-Sipis-Hop"

Headers = Iterable[tuple[str, str]]


class Summons:
    """One INVITE to the app."""

    def __init__(
        self,
        tools: Tools,
        source: Request,
        binding: Binding,
        claim: int,
        report: Callable[[Event], None],
    ) -> None:
        self.claim = claim
        self.flow = binding.flow
        self._proxied = bool(binding.path)
        self.answer: Response | None = None
        self.dialog: Dialog | None = None
        self._tools = tools
        self._report = report
        self._request = _invite(tools, source, binding)
        self._forks = Forks(self._request)
        self._transaction = ""

    @property
    def name(self) -> tuple[str, str]:
        """Call-ID and our tag: by these requests of the app find their dialog."""
        return self._request.call_id, self._request.from_.tag or ""

    @property
    def invite(self) -> str:
        """The transaction of the INVITE."""
        return self._transaction

    @property
    def number(self) -> int:
        """Its CSeq."""
        return self._request.cseq.number

    def send(self, headers: Headers) -> None:
        """Send it, with further headers of ours."""
        for name, value in headers:
            self._request.headers.add(name, value)
        self._transaction = self._tools.sip.send(self._request, self.flow, self._heard)

    def cancel(self, headers: Headers = ()) -> None:
        """Take it back; the final response is still waited for."""
        self._tools.sip.cancel(self._transaction, list(headers))

    def abandon(self) -> None:
        """Wait no longer for its final response."""
        self._tools.sip.abandon(self._transaction)

    def ack(self) -> None:
        """Acknowledge a 2xx of the app that nothing more is to be said to."""
        if self.dialog is not None:
            self._tools.sip.ack(self.dialog.ack(self.number), self.flow, self._transaction)

    def bye(self) -> None:
        """End a dialog that never became part of a call."""
        if self.dialog is not None:
            self._tools.sip.send(self.dialog.request("BYE"), self.flow, _ignore)

    def _heard(self, outcome: Outcome) -> None:
        if not isinstance(outcome, ResponseReceived):
            self._report(Event(Kind.LOST, self.claim))
            return
        response = outcome.response
        dialog = self._dialog_of(response)
        if response.status < 200:
            self._hear_provisional(response)
        elif response.status >= 300:
            self.answer = response
            kind = Kind.DECLINED if response.status in A_PERSONS_NO else Kind.REFUSED
            self._report(Event(kind, self.claim, response.status))
        elif dialog is None:
            self._report(Event(Kind.REFUSED, self.claim, 500))
        elif self.dialog is None:
            self.answer, self.dialog = response, dialog
            self._report(Event(Kind.ANSWERED, self.claim))
        elif dialog is not self.dialog:
            self._end_second_callee(dialog)

    def _hear_provisional(self, response: Response) -> None:
        """A 100 is the word of the next hop: of the app only where no proxy lies between."""
        if response.status > 100 or not self._proxied:
            self._report(Event(Kind.RANG, self.claim))

    def _dialog_of(self, response: Response) -> Dialog | None:
        """The dialog that a response belongs to; None where it has none or cannot be read."""
        try:
            return self._forks.hear(response)
        except RemoteProtocolError:
            return None

    def _end_second_callee(self, dialog: Dialog) -> None:
        self._tools.sip.ack(dialog.ack(self.number), self.flow, self._transaction)
        self._tools.sip.send(dialog.request("BYE"), self.flow, _ignore)


def _invite(tools: Tools, source: Request, binding: Binding) -> Request:
    """The provider's INVITE as it goes to the app: a new dialog, the same people and offer."""
    flow, tag = binding.flow, tools.token()
    caller = NameAddr(source.from_.display, source.from_.uri, NO_PARAMS.with_("tag", tag))
    hops = source.max_forwards
    headers = [
        ("Max-Forwards", str(MAX_FORWARDS if hops is None else max(0, hops - 1))),
        *[("Route", str(hop)) for hop in binding.path],
        ("From", str(caller)),
        ("To", str(replace(source.to, params=NO_PARAMS))),
        ("Call-ID", tools.token()),
        ("CSeq", "1 INVITE"),
        ("Contact", tools.contact(flow, tools.token())),
        *tools.about_us(),
        *carried(source),
    ]
    return Request.build("INVITE", binding.contact.uri, headers, body_for(source, flow))


def _ignore(_outcome: Outcome) -> None:
    """Nothing depends on how the BYE to a second callee ends."""
