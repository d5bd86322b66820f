"""How a request inside a dialog reaches its peer.

Toward the app that is its newest flow. Toward the provider it is the first route or the Contact of
the other end (RFC 3261 12.2.1.1), which need not be where the INVITE came from: without
Record-Route it is the caller's own phone.
Refuses addresses that the network policy refuses: then the INVITE's own flow has to do.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from sipis.errors import FieldError, TransportError
from sipis.relay.awaited import Use
from sipis.relay.ports import Names, Sip, Spawn
from sipis.relay.tools import Tools
from sipis.sip.flow import Door, Flow
from sipis.sip.uri import SipUri, Uri

LOCATE_TIMEOUT: Final = 4.0
MOST_WAITING: Final = 16


class Way(Protocol):
    """A way to the peer of one dialog."""

    def use(self, act: Use) -> None:
        """Call `act` with the flow to the peer, now or as soon as it is known."""

    def settle(self, act: Use) -> None:
        """What `act` does is done: it need not be called again."""

    def follow(self, next_hop: Uri) -> None:
        """The peer is now reached through this URI."""


class AppWay:
    """To an app: the flow of its newest binding, else the one that its call came by."""

    def __init__(self, tools: Tools, n: int, flow: Flow | None) -> None:
        self._tools = tools
        self._n = n
        self._flow = flow

    def use(self, act: Use) -> None:
        """The newest flow wins at once, and again when the app comes on another one."""
        now = self._tools.clock.monotonic()
        binding = self._tools.bindings.find(self._n, now)
        flow = self._flow if binding is None else binding.flow
        if flow is not None and not self._tools.sip.is_open(flow):
            flow = None
        self._tools.awaited.keep(self._n, act, flow, now)
        if flow is not None:
            act(flow)

    def settle(self, act: Use) -> None:
        """The app has got it."""
        self._tools.awaited.settle(self._n, act)

    def follow(self, next_hop: Uri) -> None:
        """An app moves by registering on a new flow, not by its Contact."""


class ProviderWay:
    """To the provider's side of a call; what is to be sent waits while the way is looked up."""

    def __init__(self, sip: Sip, names: Names, spawn: Spawn, flow: Flow) -> None:
        self._sip = sip
        self._names = names
        self._spawn = spawn
        self._origin = flow
        self._flow: Flow | None = flow
        self._hop: Uri | None = None
        self._waiting: deque[Use] = deque()

    def use(self, act: Use) -> None:
        """At once where the flow is known."""
        if self._flow is not None:
            act(self._flow)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(act)

    def settle(self, act: Use) -> None:
        """A provider does not move."""

    def follow(self, next_hop: Uri) -> None:
        """Look up where the next requests go, unless the INVITE's flow leads there."""
        if next_hop == self._hop:
            return
        self._hop = next_hop
        if not isinstance(next_hop, SipUri) or self._leads_to(next_hop):
            self._arrive(self._origin)
            return
        self._flow = None
        if not self._spawn("locate", self._locate(next_hop)):
            self._arrive(self._origin)

    def _leads_to(self, hop: SipUri) -> bool:
        """A stream stays in use for its dialogs; a datagram goes where the next hop is."""
        if self._origin.transport.reliable:
            return self._sip.is_open(self._origin)
        port = hop.port or self._origin.transport.default_port
        plain = hop.scheme == "sip" and hop.transport in (None, self._origin.transport.value)
        return plain and (hop.host, port) == self._origin.remote

    async def _locate(self, hop: SipUri) -> None:
        flow = self._origin
        try:
            async with asyncio.timeout(LOCATE_TIMEOUT):
                targets = await self._names.resolve(hop)
                flow = await self._sip.flow_to(targets[0], door=Door.PROVIDER)
        except (TransportError, FieldError, TimeoutError):
            pass
        finally:
            if hop is self._hop:
                self._arrive(flow)

    def _arrive(self, flow: Flow) -> None:
        self._flow = flow
        while self._waiting:
            self._waiting.popleft()(flow)
