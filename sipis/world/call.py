"""One side of a call in the world, as caller or callee; everything that happens can be awaited.

Refuses media: the session descriptions are real, the audio is not there.
"""

import asyncio
from typing import TYPE_CHECKING

from sipis.sip.dialog import Dialog
from sipis.sip.events import (
    CancelReceived,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
)
from sipis.sip.flow import Flow
from sipis.sip.message import Request, Response, response_to
from sipis.world.inbox import Inbox

if TYPE_CHECKING:
    from sipis.world.agent import Agent

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
ANSWER = OFFER.replace(b"40000", b"40002")
SDP = ("Content-Type", "application/sdp")


class Call:
    """What both sides of a call share: the dialog, the requests inside it, and its end."""

    def __init__(self, agent: "Agent", invite: Request, flow: Flow) -> None:
        self.agent = agent
        self.invite = invite
        self.flow = flow
        self.dialog: Dialog | None = None
        self.requests: Inbox[Request] = Inbox()
        self.ended = asyncio.Event()
        agent.calls[invite.call_id] = self

    async def bye(self) -> Response:
        """Hang up."""
        return await self.ask("BYE")

    async def ask(
        self, method: str, body: bytes = b"", *, kind: str = "application/sdp"
    ) -> Response:
        """Send a request inside the dialog and return its final response."""
        assert self.dialog is not None
        headers = [("Content-Type", kind)] if body else []
        request = self.dialog.request(method, headers=headers, body=body)
        flow = await self.agent.flow_in_dialog(self.dialog.next_hop, self.flow)
        response = await self.agent.ask(request, flow)
        if method == "INVITE" and response.status < 300:
            await self._acknowledge(request)
        if method == "BYE":
            self._end()
        return response

    def hear(self, event: RequestReceived | CancelReceived) -> None:
        """Take a request of the other side; BYE ends the call, all else is answered 200."""
        self.requests.put(event.request)
        if self.dialog is not None:
            self.dialog.receive(event.request)
            self.dialog.refresh_target(event.request)
        if event.transaction is not None and isinstance(event, RequestReceived):
            self._answer_inside(event.request, event.transaction)

    def _answer_inside(self, request: Request, transaction: str) -> None:
        response = response_to(request, 200)
        if request.method in {"INVITE", "UPDATE"}:
            response.body = ANSWER
            response.headers.set(*SDP)
            response.headers.set("Contact", self._contact())
        self.agent.endpoint.respond(transaction, response)
        if request.method == "BYE":
            self._end()

    async def _acknowledge(self, invite: Request, transaction: str = "") -> None:
        """ACK a 2xx straight to the dialog's next hop."""
        assert self.dialog is not None
        ack = self.dialog.ack(invite.cseq.number)
        flow = await self.agent.flow_in_dialog(self.dialog.next_hop, self.flow)
        self.agent.endpoint.ack(ack, flow, transaction)

    def _contact(self) -> str:
        host, port = self.agent.endpoint.contact_address(self.flow)
        transport = self.flow.transport.value
        return f"<sip:{self.agent.token(4)}@{host}:{port};transport={transport}>"

    def _end(self) -> None:
        self.agent.calls.pop(self.invite.call_id, None)
        self.ended.set()


class Caller(Call):
    """The side that sent the INVITE."""

    def __init__(self, agent: "Agent", invite: Request, flow: Flow) -> None:
        super().__init__(agent, invite, flow)
        self.responses: Inbox[Response] = Inbox()
        self.final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._transaction = agent.endpoint.send(invite, flow, self._heard)

    def cancel(self, reason: str = "") -> None:
        """Give up while it rings."""
        headers = [("Reason", reason)] if reason else []
        self.agent.endpoint.cancel(self._transaction, headers)

    async def until(self, status: int) -> Response:
        """The next response with this status."""
        while True:
            response = await self.responses.next()
            if response.status == status:
                return response

    def _heard(self, outcome: ResponseReceived | RequestTimedOut | RequestFailed) -> None:
        if not isinstance(outcome, ResponseReceived):
            self._finish(Response.build(408))
            return
        response = outcome.response
        self.responses.put(response)
        if response.status >= 300:
            self._finish(response)
        elif response.status >= 200:
            self._connect(response)

    def _connect(self, response: Response) -> None:
        self.dialog = Dialog.uac(self.invite, response)
        self.dialog.confirm(response)
        self.agent.run(self._acknowledge(self.invite, self._transaction))
        if not self.final.done():
            self.final.set_result(response)

    def _finish(self, response: Response) -> None:
        if not self.final.done():
            self.final.set_result(response)
        self._end()


class Callee(Call):
    """The side that got the INVITE."""

    def __init__(self, agent: "Agent", event: RequestReceived) -> None:
        super().__init__(agent, event.request, event.flow)
        assert event.transaction is not None
        self._transaction = event.transaction
        self._tag = agent.token()
        self.cancelled = asyncio.Event()
        self.acknowledged = asyncio.Event()

    def ring(self) -> None:
        """Send 180."""
        self._respond(180)

    def answer(self, body: bytes = ANSWER) -> None:
        """Send 200 with a session description."""
        self.dialog = Dialog.uas(self.invite, self._tag, contact=self._contact())
        self.dialog.confirm()
        self._respond(200, body)

    def refuse(self, status: int = 486) -> None:
        """Send a final response that ends it."""
        self._respond(status)
        self._end()

    def hear(self, event: RequestReceived | CancelReceived) -> None:
        """Take what the caller sends: ACK, CANCEL, requests inside the dialog."""
        if isinstance(event, CancelReceived):
            self.requests.put(event.request)
            self._respond(487)
            self.cancelled.set()
            self._end()
            return
        if event.request.method == "ACK":
            self.acknowledged.set()
        super().hear(event)

    def _respond(self, status: int, body: bytes = b"") -> None:
        response = response_to(self.invite, status, to_tag=self._tag)
        if status < 300:
            response.headers.set("Contact", self._contact())
        if body:
            response.headers.set(*SDP)
            response.body = body
        self.agent.endpoint.respond(self._transaction, response)
