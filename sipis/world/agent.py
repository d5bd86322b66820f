"""A SIP user agent of the world: one endpoint, its calls, and requests that can be awaited.

Refuses to be polite to strangers or strict with friends: it is for loopback and talks to anybody.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_address
from typing import Self

from sipis.clock import Clock, SystemClock
from sipis.errors import RefusedAddress, TransportError
from sipis.sip.digest import Algorithm, DigestChallenge, answer, ha1, read_challenges
from sipis.sip.events import (
    AckMissing,
    CancelReceived,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
)
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request, Response, response_to
from sipis.sip.uri import SipUri, Uri
from sipis.transport.endpoint import Endpoint
from sipis.transport.networks import NetworkPolicy
from sipis.transport.targets import Listener, Target
from sipis.transport.tls import TlsPolicy, TlsSettings
from sipis.world.call import Call

Outcome = ResponseReceived | RequestTimedOut | RequestFailed
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Agent:
    """An endpoint on loopback; use it as an async context manager."""

    def __init__(
        self,
        listeners: Sequence[str] = ("udp:127.0.0.1:0",),
        *,
        name: str = "world",
        tls: TlsSettings | None = None,
        trust: TlsPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`trust` says how TLS servers are recognised, whatever their domain."""
        self.clock = clock or SystemClock()
        self.calls: dict[str, Call] = {}
        self.take: Callable[[RequestReceived], None] = self._refuse
        self._tasks: asyncio.TaskGroup | None = None
        self._name = name
        self._tls = tls or TlsSettings(providers=_ForAll(trust) if trust else {})
        self.endpoint = Endpoint(
            clock=self.clock,
            listeners=[Listener.parse(text, Door.APP) for text in listeners],
            policy=NetworkPolicy(LOOPBACK),
            entropy=os.urandom,
            user_agent=name,
            tls=self._tls,
        )
        self.endpoint.on_request[Door.APP] = self._handle
        self.endpoint.strangers.trusted = _everybody

    async def __aenter__(self) -> Self:
        await self.endpoint.start()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._tasks.create_task(self.endpoint.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.endpoint.stop()
        if self._tasks is not None:
            await self._tasks.__aexit__(None, None, None)

    def run(self, job: Coroutine[object, object, None]) -> None:
        """Run a job beside; its failure ends the agent."""
        assert self._tasks is not None
        self._tasks.create_task(job)

    def port(self, transport: Transport = Transport.UDP) -> int:
        """The port of the listener for this transport."""
        return next(it.port for it in self.endpoint.listening if it.transport is transport)

    def token(self, size: int = 8) -> str:
        """Fresh random text for tags, Call-IDs and nonces."""
        return os.urandom(size).hex()

    async def flow_to(
        self, host: str, port: int, transport: Transport, domain: str = "", *, share: str = ""
    ) -> Flow:
        """A flow to an address on loopback; another `share` gets another socket."""
        target = Target(transport, host, port, domain or None)
        return await self.endpoint.flow_to(target, door=Door.APP, share=share or self._name)

    async def ask(self, request: Request, flow: Flow) -> Response:
        """Send a request and return its final response; TransportError when none came."""
        final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def hear(outcome: Outcome) -> None:
            if final.done():
                return
            if not isinstance(outcome, ResponseReceived):
                final.set_exception(TransportError(type(outcome).__name__))
            elif outcome.response.status >= 200:
                final.set_result(outcome.response)

        self.endpoint.send(request, flow, hear)
        return await final

    async def ask_as(self, request: Request, flow: Flow, user: str, password: str) -> Response:
        """The same, answering one challenge."""
        first = await self.ask(request, flow)
        challenges = read_challenges(first)
        if first.status not in (401, 407) or not challenges:
            return first
        return await self.ask(self._proven(request, challenges[0], user, password), flow)

    def _proven(
        self, request: Request, challenge: DigestChallenge, user: str, password: str
    ) -> Request:
        again = Request(request.method, request.uri_text, request.headers.copy(), request.body)
        again.headers.remove("Via")
        again.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
        secret = ha1(Algorithm(challenge.algorithm).base, user, challenge.realm, password)
        value = answer(
            challenge, user=user, ha1_hex=secret, method=request.method, uri=request.uri_text,
            body=request.body, cnonce=self.token(), nonce_count=1, qop=challenge.preferred_qop,
        )  # fmt: skip
        again.headers.set("Proxy-Authorization" if challenge.proxy else "Authorization", value)
        return again

    async def flow_in_dialog(self, next_hop: Uri, last: Flow) -> Flow:
        """Where a request inside a dialog goes: its next hop, or where the last one came from."""
        kept = last.transport.reliable and self.endpoint.is_open(last)
        if kept or not isinstance(next_hop, SipUri):
            return last
        try:
            ip_address(next_hop.host)
        except ValueError:
            return last
        transport = last.transport
        port = next_hop.port or transport.default_port
        try:
            return await self.flow_to(next_hop.host, port, transport)
        except (RefusedAddress, TransportError):
            return last

    def _handle(self, event: RequestReceived | CancelReceived | AckMissing) -> None:
        if isinstance(event, AckMissing):
            return
        call = self.calls.get(event.request.call_id)
        if call is not None and (isinstance(event, CancelReceived) or event.request.to.tag):
            call.hear(event)
        elif isinstance(event, RequestReceived):
            self.take(event)

    def _refuse(self, event: RequestReceived) -> None:
        if event.transaction is not None:
            status = 200 if event.request.method == "OPTIONS" else 481
            self.endpoint.respond(event.transaction, response_to(event.request, status))


def _everybody(_flow: Flow) -> bool:
    return True


class _ForAll(dict[str, TlsPolicy]):
    """One TLS policy for every domain."""

    def __init__(self, policy: TlsPolicy) -> None:
        super().__init__()
        self._policy = policy

    def get(self, _key: str, _default: object = None) -> TlsPolicy:
        """The policy, whatever the domain."""
        return self._policy
