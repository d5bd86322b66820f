"""One leg of a running call: its dialog and the way to its peer.

Refuses to answer challenges: a 401 or 407 inside a dialog may come from anybody who calls, and is
passed on as a plain refusal, never with credentials (RFC 3261 22; digest leak).
"""

from collections.abc import Callable, Iterable

from sipis.relay.errand import Errand
from sipis.relay.headers import body_for
from sipis.relay.ports import OnOutcome
from sipis.relay.tools import Tools
from sipis.relay.ways import Way
from sipis.sip.dialog import TARGET_REFRESH, Dialog, DialogState
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Door, Flow
from sipis.sip.message import Message, Request, Response, response_to

Headers = Iterable[tuple[str, str]]
OnSent = Callable[[str], None]


class Leg:
    """One side of a call that has been answered."""

    def __init__(self, side: Door, dialog: Dialog, way: Way, tools: Tools) -> None:
        self.side = side
        self.dialog = dialog
        self._way = way
        self._tools = tools

    def locate(self) -> None:
        """Find out where requests go from now on."""
        self._way.follow(self.dialog.next_hop)

    def follow(self, message: Message) -> None:
        """Take up the Contact of a target refresh (RFC 3261 12.2)."""
        self.dialog.refresh_target(message)
        self.locate()

    def send(
        self,
        method: str,
        headers: Headers,
        source: Message | None,
        on_outcome: OnOutcome,
        on_sent: OnSent | None = None,
    ) -> None:
        """Send a request in the dialog with the body of `source`; not once it has ended.

        `on_sent` is told the transaction, again whenever the request goes once more to an app that
        has changed networks.
        """
        if self.dialog.state is DialogState.TERMINATED:
            return
        request = self.dialog.request(method, headers=headers)
        if isinstance(source, Request) and source.max_forwards is not None:
            request.headers.set("Max-Forwards", str(max(0, source.max_forwards - 1)))

        def post(flow: Flow, hear: OnOutcome) -> str:
            if source is not None:
                request.body = body_for(source, flow)
            transaction = self._tools.sip.send(request, flow, hear)
            if on_sent is not None:
                on_sent(transaction)
            return transaction

        def leave(flow: Flow) -> None:
            post(flow, on_outcome)

        if self.side is Door.APP:
            Errand(self._way, self._tools, post, on_outcome).set_out()
        else:
            self._way.use(leave)

    def bye(self, headers: Headers = ()) -> None:
        """End the dialog; how the peer takes it does not matter."""
        self.send("BYE", headers, None, _ignore)
        self.dialog.terminate()

    def ack(self, number: int, invite: str, headers: Headers, source: Message) -> None:
        """Acknowledge the 2xx to our INVITE of that CSeq and transaction."""

        def leave(flow: Flow) -> None:
            ack = self.dialog.ack(number, headers=headers, body=body_for(source, flow))
            self._tools.sip.ack(ack, flow, invite)

        self._way.use(leave)

    def answer(
        self,
        event: RequestReceived,
        status: int,
        headers: Headers = (),
        source: Response | None = None,
    ) -> None:
        """Answer a request of the peer, with the body that the other end answered, if it did."""
        assert event.transaction is not None
        response = response_to(event.request, status, to_tag=self.dialog.local_tag)
        if status < 300 and self.dialog.contact and event.request.method in TARGET_REFRESH:
            response.headers.add("Contact", self.dialog.contact)
        for name, value in headers:
            response.headers.add(name, value)
        if source is not None:
            response.body = body_for(source, event.flow)
        self._tools.sip.respond(event.transaction, response)


def _ignore(_outcome: object) -> None:
    """Whoever said BYE is done."""
