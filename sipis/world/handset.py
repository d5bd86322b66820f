"""A mobile app: it hands its account over, sleeps, is woken by pushes, registers and answers.

Its glue is what docs/apps.md asks of a real app. Refuses to be clever: it does what `temper` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import aiohttp

from sipis.clock import Clock
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Flow, Transport
from sipis.sip.message import Request, Response, response_to
from sipis.sip.uri import SipUri
from sipis.transport.tls import TlsPolicy
from sipis.world.agent import Agent
from sipis.world.call import Callee
from sipis.world.inbox import Inbox


class Temper(StrEnum):
    """What the handset does with a call push."""

    ANSWER = "answer"
    RING = "ring"
    DECLINE = "decline"
    DECLINE_OVER_HTTP = "decline over http"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said."""

    status: int
    body: Mapping[str, object]


class Handset(Agent):
    """One app installation with one account; use it as an async context manager."""

    def __init__(
        self,
        api: str,
        app_key: str,
        *,
        app_id: str = "demo",
        token: str = "",
        trust: TlsPolicy | None = None,
        clock: Clock | None = None,
        temper: Temper = Temper.ANSWER,
    ) -> None:
        super().__init__(
            ("udp:127.0.0.1:0",), name=f"world-handset-{token}", trust=trust, clock=clock
        )
        self.temper = temper
        self.push_token = token or self.token(16)
        self.instance: Mapping[str, object] = {}
        self.woken: Inbox[Mapping[str, object]] = Inbox()
        self.callees: Inbox[Callee] = Inbox()
        self.messages: Inbox[Request] = Inbox()
        self.flow: Flow | None = None
        self._api = api
        self._app_key = app_key
        self._app_id = app_id
        self._http: aiohttp.ClientSession | None = None
        self._cseq = 0
        self._call_id = ""
        self.take = self._take

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()
        await super().__aexit__()

    # The HTTP side.

    async def enable(self, account: Mapping[str, object], **more: object) -> Answer:
        """Hand the account over; keeps what the server gave."""
        target = {"provider": "fcm", "kind": "token", "token": self.push_token}
        body = {"app_id": self._app_id, "account": account, "targets": [target], **more}
        answer = await self.http("POST", "/v1/instances", body, bearer=self._app_key)
        if answer.status == 201:
            self.instance = answer.body
        return answer

    async def here(self, method: str, path: str = "", body: object = None) -> Answer:
        """Call the API for this instance."""
        return await self.http(method, f"/v1/instances/{self.instance['instance']}{path}", body)

    async def http(self, method: str, path: str, body: object = None, bearer: str = "") -> Answer:
        """Call the API."""
        assert self._http is not None
        key = bearer or str(self.instance.get("secret", ""))
        async with self._http.request(
            method, self._api + path, json=body, headers={"Authorization": f"Bearer {key}"}
        ) as response:
            said = await response.json(content_type=None) if response.status != 204 else {}
            return Answer(response.status, said)

    async def disable(self) -> Answer:
        """Take the account back."""
        return await self.here("DELETE")

    # The glue: what a push does.

    async def push(self, sipis: Mapping[str, object]) -> None:
        """React to the `sipis` object of a push."""
        self.woken.put(sipis)
        if sipis["event"] == "verify":
            await self.here("POST", "/verify", {"code": sipis["code"]})
        elif sipis["event"] == "call":
            await self._wake(str(sipis["call"]))
        elif sipis["event"] == "message" and self.temper is not Temper.IGNORE:
            await self.register()

    async def _wake(self, call: str) -> None:
        if self.temper is Temper.IGNORE:
            return
        if self.temper is Temper.DECLINE_OVER_HTTP:
            await self.here("POST", f"/calls/{call}/decline")
            return
        state = await self.here("GET", f"/calls/{call}")
        if state.body.get("state") == "ringing":
            await self.register()

    # The SIP side.

    async def register(self, expires: int = 120, uri: str = "") -> Response:
        """Register at the relay over a flow of its own."""
        relay = self.instance["relay"]
        assert isinstance(relay, Mapping)
        flow = self.flow
        if flow is None or not self.endpoint.is_open(flow):
            flow = self.flow = await self._open(uri or str(relay["uris"][0]))
        request = self._registration(str(relay["username"]), str(relay["realm"]), expires)
        answer = await self.ask_as(request, flow, str(relay["username"]), str(relay["password"]))
        self._cseq += 1
        if answer.status < 300 and expires and self.flow is flow:  # else it sleeps again
            self.endpoint.hold(flow, expires)
        return answer

    def sleep(self) -> None:
        """Close the flow, as a suspended app does."""
        if self.flow is not None:
            self.endpoint.close(self.flow)
        self.leave()

    def leave(self) -> None:
        """Use another flow from now on; the old one stays open, as after a change of networks."""
        self.flow = None

    async def _open(self, uri: str) -> Flow:
        self._call_id = self.token(16)
        where = SipUri.parse(uri)
        transport = Transport(where.transport or "udp")
        port = where.port or transport.default_port
        return await self.flow_to(where.host, port, transport, where.host, share=self._call_id)

    def _registration(self, user: str, realm: str, expires: int) -> Request:
        assert self.flow is not None
        self._cseq += 1
        host, port = self.endpoint.contact_address(self.flow)
        transport = self.flow.transport.value
        return Request.build("REGISTER", f"sip:{realm}", [
            ("Max-Forwards", "70"),
            ("From", f"<sip:{user}@{realm}>;tag={self.token()}"),
            ("To", f"<sip:{user}@{realm}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", f"<sip:app@{host}:{port};transport={transport}>"),
            ("Expires", str(expires)),
            ("Allow", "INVITE, ACK, CANCEL, BYE, INFO, UPDATE, OPTIONS, MESSAGE, NOTIFY"),
            ("Supported", "outbound, path"),
        ])  # fmt: skip

    def _take(self, event: RequestReceived) -> None:
        if event.transaction is None:
            return
        if event.request.method == "INVITE":
            self._take_call(Callee(self, event))
            return
        if event.request.method == "MESSAGE":
            self.messages.put(event.request)
        self.endpoint.respond(event.transaction, response_to(event.request, 200))

    def _take_call(self, callee: Callee) -> None:
        self.callees.put(callee)
        if self.temper is Temper.DECLINE:
            callee.refuse(603)
            return
        callee.ring()
        if self.temper is Temper.ANSWER:
            callee.answer()
