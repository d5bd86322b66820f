"""Responses whose connection is gone, brought to where their request came from (RFC 3261 18.2.2).

A connection that the same host has open meanwhile is taken, whoever opened it; else, over TCP, one
is opened to the address that the request came from, at the port of its Via.
Refuses to connect over TLS: nobody could say which name the certificate had to hold. Refuses places
that the owner does not want to connect to, and a second attempt: who asked will ask again.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final, Protocol

from sipis.errors import ProtocolError, TransportError
from sipis.sip.flow import Flow, Transport
from sipis.sip.message import parse_message

DEFAULT_PORT: Final = 5060
_RESPONSE: Final = b"SIP/2.0 "


class Ways(Protocol):
    """Whoever has the connections; implemented by the endpoint."""

    def another(self, flow: Flow) -> Flow | None:
        """An open connection with the same host, of the same door and transport."""

    async def connect_to(self, flow: Flow, port: int) -> Flow:
        """A connection to the flow's host at another port; TransportError when none can be had."""

    def send_over(self, data: bytes, flow: Flow) -> None:
        """Write to an open connection; TransportError when it is gone."""


class Returns:
    """Finds another way for a response."""

    def __init__(
        self,
        ways: Ways,
        *,
        wanted: Callable[[Flow], bool],
        spawn: Callable[[str, Coroutine[object, object, None]], bool],
    ) -> None:
        """`wanted` tells the flows beside which a connection may be opened."""
        self._ways = ways
        self._wanted = wanted
        self._spawn = spawn

    def bring(self, data: bytes, flow: Flow) -> None:
        """Take a message that could not be sent over this flow; what is no response is left."""
        if not data.startswith(_RESPONSE) or not self._wanted(flow):
            return
        if (other := self._ways.another(flow)) is not None:
            self._send(data, other)
        elif flow.transport is Transport.TCP:
            self._spawn("return", self._connect_and_send(data, flow))

    async def _connect_and_send(self, data: bytes, flow: Flow) -> None:
        try:
            stream = await self._ways.connect_to(flow, _sent_by_port(data))
        except (ProtocolError, TransportError):  # nobody listens there: the response is lost
            return
        self._send(data, stream)

    def _send(self, data: bytes, stream: Flow) -> None:
        with suppress(TransportError):
            self._ways.send_over(data, stream)


def _sent_by_port(response: bytes) -> int:
    """Where the sender of the request takes connections."""
    via = parse_message(response).via
    return via.port or DEFAULT_PORT
