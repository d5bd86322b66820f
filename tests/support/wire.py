"""Where this process sends packets, whoever sends them: told by the interpreter's audit events."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network

_listening: "list[Wire]" = []


class Wire:
    """The addresses that datagrams were sent to and connections opened to."""

    def __init__(self) -> None:
        self.destinations: list[tuple[str, int]] = []

    def within(self, *networks: str) -> list[tuple[str, int]]:
        """The destinations that lie in one of these networks."""
        return [
            (host, port) for host, port in self.destinations
            if any(ip_address(host) in ip_network(network) for network in networks)
        ]  # fmt: skip

    def but_to(self, *ports: int) -> list[tuple[str, int]]:
        """The destinations with none of these ports on loopback."""
        known = {(host, port) for host in ("127.0.0.1", "::1") for port in ports}
        return [one for one in self.destinations if one not in known]

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in {"socket.sendto", "socket.connect"}:
            return
        sender, address = arguments
        assert isinstance(sender, socket.socket)
        # Connecting a datagram socket asks the kernel for a route and sends nothing.
        probing = event == "socket.connect" and sender.type == socket.SOCK_DGRAM
        if isinstance(address, tuple) and not probing:
            self.destinations.append((str(address[0]), int(address[1])))


@contextmanager
def tapped() -> Iterator[Wire]:
    """Note where packets go."""
    if _tell not in _installed:
        sys.addaudithook(_tell)
        _installed.append(_tell)
    wire = Wire()
    _listening.append(wire)
    try:
        yield wire
    finally:
        _listening.remove(wire)


def _tell(event: str, arguments: tuple[object, ...]) -> None:
    for wire in _listening:
        wire.hear(event, arguments)


_installed: list[object] = []
