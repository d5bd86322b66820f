"""A SIP provider: registrar of its domain, and the one whose users call, write and leave voicemail.

Refuses to route between its users: calls begin here, so that a test holds both ends.
"""

from collections.abc import Sequence

from sipis.clock import Clock
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Flow, Transport
from sipis.sip.message import Request, Response, response_to
from sipis.transport.tls import TlsSettings
from sipis.world.agent import Agent
from sipis.world.call import OFFER, SDP, Caller
from sipis.world.chaos import Chaos
from sipis.world.registrar import Binding, ProviderMischief, Registrar

LISTENERS = ("udp:127.0.0.1:0", "tcp:127.0.0.1:0")


class Provider(Agent):
    """The provider of `domain`; give it users with `add`."""

    def __init__(
        self,
        domain: str = "provider.example",
        *,
        listeners: Sequence[str] = LISTENERS,
        tls: TlsSettings | None = None,
        clock: Clock | None = None,
        chaos: Chaos[ProviderMischief] | None = None,
    ) -> None:
        super().__init__(listeners, name="world-provider", tls=tls, clock=clock)
        self.domain = domain
        self.registrar = Registrar(domain, self.clock, self.token, chaos)
        self.take = self._take

    def add(self, user: str, password: str) -> str:
        """Give a user an account; returns the AoR."""
        self.registrar.passwords[user] = password
        return f"sip:{user}@{self.domain}"

    def address(self, transport: Transport = Transport.UDP) -> str:
        """The URI to register at, for accounts whose domain no DNS knows."""
        port = self.port(transport)
        return f"sip:127.0.0.1:{port};transport={transport.value}"

    def call(
        self,
        user: str,
        *,
        caller: str = "carol",
        name: str = "Carol",
        body: bytes = OFFER,
        headers: Sequence[tuple[str, str]] = (),
        binding: Binding | None = None,
    ) -> Caller:
        """Call a registered user; LookupError when nobody is registered."""
        where = binding or self._newest(user)
        invite = self._request("INVITE", user, where, self._who(caller, name), headers)
        if body:
            invite.headers.add(*SDP)
            invite.body = body
        host, port = self.endpoint.contact_address(where.flow)
        transport = where.flow.transport.value
        invite.headers.add("Contact", f"<sip:{caller}@{host}:{port};transport={transport}>")
        return Caller(self, invite, where.flow)

    async def message(
        self,
        user: str,
        text: str,
        *,
        kind: str = "text/plain",
        caller: str = "carol",
    ) -> Response:
        """Send a MESSAGE to a registered user (RFC 3428)."""
        where = self._newest(user)
        request = self._request(
            "MESSAGE", user, where, self._who(caller, "Carol"), [("Content-Type", kind)]
        )
        request.body = text.encode()
        return await self.ask(request, where.flow)

    async def notify_voicemail(self, user: str, waiting: int) -> Response:
        """Send an unsolicited message-summary (RFC 3842)."""
        where = self._newest(user)
        headers = [
            ("Event", "message-summary"),
            ("Subscription-State", "active"),
            ("Content-Type", "application/simple-message-summary"),
        ]
        request = self._request("NOTIFY", user, where, self._who(user), headers)
        host, port = self.endpoint.contact_address(where.flow)
        request.headers.add("Contact", f"<sip:{host}:{port}>")
        state = "yes" if waiting else "no"
        request.body = f"Messages-Waiting: {state}\r\nVoice-Message: {waiting}/0\r\n".encode()
        return await self.ask(request, where.flow)

    async def options(self, user: str) -> Response:
        """Ask whether a registered user is there."""
        where = self._newest(user)
        return await self.ask(
            self._request("OPTIONS", user, where, self._who("probe"), []), where.flow
        )

    def _newest(self, user: str) -> Binding:
        bindings = self.registrar.bindings(user)
        if not bindings:
            raise LookupError("nobody is registered under this user")
        return bindings[-1]

    def _who(self, user: str, name: str = "") -> str:
        shown = f'"{name}" ' if name else ""
        return f"{shown}<sip:{user}@{self.domain}>"

    def _request(
        self,
        method: str,
        user: str,
        where: Binding,
        who: str,
        headers: Sequence[tuple[str, str]],
    ) -> Request:
        return Request.build(method, where.contact.uri, [
            ("Max-Forwards", "70"),
            ("From", f"{who};tag={self.token()}"),
            ("To", f"<sip:{user}@{self.domain}>"),
            ("Call-ID", self.token(16)),
            ("CSeq", f"1 {method}"),
            *headers,
        ])  # fmt: skip

    def _take(self, event: RequestReceived) -> None:
        if event.transaction is None:
            return
        response = self._judge(event.request, event.flow)
        if response is None:
            self.endpoint.drop(event.transaction)
        else:
            self.endpoint.respond(event.transaction, response)

    def _judge(self, request: Request, flow: Flow) -> Response | None:
        if request.method == "REGISTER":
            return self.registrar.receive(request, flow)
        return response_to(request, 200 if request.method == "OPTIONS" else 405)
