"""What sockets tell the endpoint, and what the endpoint may do with a connection.

Refuses any behaviour: these are the two sides of one seam.
"""

from typing import Protocol

from sipis.sip.flow import Flow
from sipis.transport.arrivals import Shortage


class Receiver(Protocol):
    """Whoever takes what arrives; implemented by the endpoint, called by every socket."""

    def now(self) -> float:
        """Monotonic seconds."""

    def receive(self, data: bytes, flow: Flow, now: float) -> bool:
        """Take one datagram or message; False when its source sends too many for being a stranger.

        A connection then ends: whoever is behind it hears that sooner than from silence.
        """

    def settle(self, now: float) -> None:
        """Act on what was received since the last call: a batch has ended."""

    def refused(self, short: Shortage) -> None:
        """Note that a connection was ended before it was through."""

    def opened(self, connection: "Connection") -> bool:
        """Admit a connection; False when there are too many and it must go."""

    def broken(self, flow: Flow, problem: str) -> None:
        """Note that a peer broke the protocol so that its connection had to be closed."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection that is gone."""


class Connection(Protocol):
    """An open stream or WebSocket: one flow."""

    @property
    def flow(self) -> Flow:
        """The flow that this connection is."""

    @property
    def incoming(self) -> bool:
        """Whether the peer opened it."""

    @property
    def last_received(self) -> float:
        """When something last came, monotonic seconds."""

    def send(self, data: bytes) -> None:
        """Send one message; a peer that takes too little is cut off."""

    def close(self) -> None:
        """Send what waits, then close."""

    def abort(self) -> None:
        """Close at once."""

    def overdue(self, now: float) -> bool:
        """Whether the peer left a message unfinished, or never began one, for too long."""
