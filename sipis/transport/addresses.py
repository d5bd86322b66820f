"""Under which address of ours a peer can reach us: advertised, learnt, or that of the socket.

Over UDP a response tells the address that a NAT gave us (`received` and `rport`, RFC 3581). It is
learnt for each flow, because a NAT may map each target differently, and is the first guess for
other flows of the same socket. Refuses to believe responses that answer nothing: the caller hands
in those of our own transactions alone.
"""

import socket
from collections.abc import Iterable
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Response
from sipis.transport.networks import parse_address
from sipis.transport.sockets import family_of
from sipis.transport.targets import BoundListener

Address = tuple[str, int]

MOST_LEARNT: Final = 8192
HOLD: Final = 60.0
"""Seconds for which a learnt address stays, so that a NAT with two faces makes no storm."""
_ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


class OwnAddresses:
    """What to write into Contact and Via for each flow."""

    def __init__(self, advertised: tuple[str, int | None] | None, *, learn: bool) -> None:
        self._advertised = advertised
        self._learn = learn and advertised is None
        self._learnt: dict[tuple[int, Address], tuple[Address, float]] = {}
        self._guesses: dict[int, Address] = {}
        self._found: dict[tuple[int, Address], Address] = {}
        self._routed: dict[str, str] = {}
        self._listening: dict[tuple[Door, Transport], int] = {}

    def set_listening(self, listeners: Iterable[BoundListener]) -> None:
        """Note the ports at which peers can open a connection to us."""
        for listener in listeners:
            self._listening.setdefault((listener.door, listener.transport), listener.port)
        self._found.clear()

    def contact(self, flow: Flow) -> Address:
        """Host and port by which the peer of this flow can reach us; kept until more is learnt."""
        key = flow.id, flow.remote
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST_LEARNT:
                self._found.clear()
            self._found[key] = found = self._find(flow)
        return found

    def forget(self, flow: Flow) -> None:
        """The connection is gone, and none will have its name again."""
        self._found.pop((flow.id, flow.remote), None)

    def learn(self, flow: Flow, response: Response, now: float) -> bool:
        """Note where the response says that it found us; True when that is news."""
        if not self._learn or flow.transport is not Transport.UDP:
            return False
        seen = _seen_by_peer(response)
        if seen is None or seen == self.contact(flow) or parse_address(seen[0]) is None:
            return False
        known = self._learnt.get((flow.id, flow.remote))
        if known is not None and now - known[1] < HOLD:
            return False
        self._remember(flow, seen, now)
        return True

    def _find(self, flow: Flow) -> Address:
        if self._advertised is not None:
            return self._advertised[0], self._advertised_port(flow)
        if flow.transport is not Transport.UDP:
            return flow.local[0], self._port(flow)
        learnt = self._learnt.get((flow.id, flow.remote))
        if learnt is not None:
            return learnt[0]
        return self._guesses.get(flow.id) or self._local(flow)

    def _remember(self, flow: Flow, seen: Address, now: float) -> None:
        if len(self._learnt) >= MOST_LEARNT:
            self._learnt.pop(next(iter(self._learnt)))
        self._learnt[flow.id, flow.remote] = (seen, now)
        self._guesses[flow.id] = seen
        self._found.clear()

    def _advertised_port(self, flow: Flow) -> int:
        """The advertised port stands for the listeners of the provider door, no other socket."""
        own_source = flow.transport is Transport.UDP and not flow.listener
        if flow.door is Door.APP or own_source or self._advertised is None:
            return self._port(flow)
        return self._advertised[1] or self._port(flow)

    def _port(self, flow: Flow) -> int:
        if flow.transport is Transport.UDP:
            return flow.local[1]
        return self._listening.get((flow.door, flow.transport), flow.local[1])

    def _local(self, flow: Flow) -> Address:
        host, port = flow.local
        return (self._towards(flow.remote[0]) if host in _ANYWHERE else host), port

    def _towards(self, host: str) -> str:
        """The local address from which packets to the host leave; asking the kernel sends none."""
        routed = self._routed.get(host)
        if routed is None:
            if len(self._routed) >= MOST_LEARNT:
                self._routed.clear()
            self._routed[host] = routed = local_address_towards(host)
        return routed


def local_address_towards(host: str) -> str:
    """The local address from which packets to an IP literal leave, loopback where none do."""
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return "::1" if ":" in host else "127.0.0.1"
        return str(probe.getsockname()[0])


def _seen_by_peer(response: Response) -> Address | None:
    """Host and port in the top Via, None where the peer filled nothing in."""
    try:
        return response.source
    except RemoteProtocolError:
        return None
