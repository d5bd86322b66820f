"""What every call is handed: the endpoint, the clock, names, random text, and our own header lines.

Refuses state: a call's memory is in its bridge.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from sipis.clock import Clock
from sipis.relay.awaited import Awaited
from sipis.relay.bindings import Bindings
from sipis.relay.headers import ALLOW
from sipis.relay.ports import Names, Sip, Spawn
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.grammar import format_hostport
from sipis.sip.message import response_to

TOKEN_BYTES: Final = 16
"""Of random text in tags, Call-IDs and Contacts: a peer must not guess them (RFC 3261 19.3)."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Shared by all calls and messages."""

    sip: Sip
    names: Names
    clock: Clock
    spawn: Spawn
    entropy: Callable[[int], bytes]
    bindings: Bindings
    awaited: Awaited = field(default_factory=Awaited)
    user_agent: str = "sipis"

    def token(self) -> str:
        """Fresh random text of 128 bits."""
        return self.entropy(TOKEN_BYTES).hex()

    def contact(self, flow: Flow, user: str) -> str:
        """A Contact value under which the peer of a flow reaches us."""
        host, port = self.sip.contact_address(flow)
        transport = flow.transport
        suffix = "" if transport is Transport.UDP else f";transport={transport.uri_token}"
        return f"<sip:{user}@{format_hostport(host, port)}{suffix}>"

    def reply(
        self,
        event: RequestReceived,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Answer a request that has no leg, or whose leg adds nothing; an ACK has no answer.

        An app that has not shown who it is does not learn what serves it.
        """
        if event.transaction is None:
            return
        response = response_to(event.request, status, to_tag=self.token())
        for name, value in headers:
            response.headers.add(name, value)
        if event.flow.door is Door.PROVIDER or self.bindings.on_flow(event.flow):
            response.headers.add("Server", self.user_agent)
        self.sip.respond(event.transaction, response)

    def ignore(self, event: RequestReceived) -> None:
        """Leave a request without any answer."""
        if event.transaction is not None:
            self.sip.drop(event.transaction)

    def about_us(self) -> list[tuple[str, str]]:
        """The headers by which each leg learns what we take."""
        return [("Allow", ALLOW), ("User-Agent", self.user_agent)]
