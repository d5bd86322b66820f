"""Flows: one transport association each, named at both ends (RFC 5626).

A flow is a name, not a socket: the room above opens and closes what it stands for.
Refuses to hold anything that changes.
"""

from dataclasses import dataclass
from enum import StrEnum


class Transport(StrEnum):
    """How SIP travels; the value is its name in settings and in the URIs that we take."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"

    @property
    def reliable(self) -> bool:
        """Whether what was sent arrives once and in order, so that nothing needs repeating."""
        return self is not Transport.UDP

    @property
    def secure(self) -> bool:
        """Whether the hop is encrypted."""
        return self is Transport.TLS or self is Transport.WSS

    @property
    def via_token(self) -> str:
        """The name in a Via header: `UDP`, `WSS`."""
        return self.upper()

    @property
    def uri_token(self) -> str:
        """The value of `transport` in our URIs; WSS has none of its own (RFC 7118 5.2)."""
        return "ws" if self is Transport.WSS else self.value

    @property
    def default_port(self) -> int:
        """The port meant where none is written (RFC 3261 19.1.2, RFC 7118 5.1)."""
        return _DEFAULT_PORTS[self]


_DEFAULT_PORTS = {
    Transport.UDP: 5060,
    Transport.TCP: 5060,
    Transport.TLS: 5061,
    Transport.WS: 80,
    Transport.WSS: 443,
}


class Door(StrEnum):
    """Which side of the server a flow belongs to; the two never share a listener."""

    PROVIDER = "provider"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Flow:
    """One association between an address of ours and one of a peer.

    `id` is that of the socket or connection, unique in the process. On UDP there is one flow per
    socket and remote address, so the flows of a socket share its id; on a stream there is one per
    connection. Addresses are (host, port) pairs; hosts are IP literals without brackets.
    """

    id: int
    door: Door
    transport: Transport
    local: tuple[str, int]
    remote: tuple[str, int]
    listener: str = ""

    def same_source(self, other: "Flow") -> bool:
        """Whether both lead to the same host over the same transport, whatever the ports."""
        return self.transport is other.transport and self.remote[0] == other.remote[0]
