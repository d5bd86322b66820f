"""SIP as bytes from an address of one's own, for those who play by no rules."""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterable
from typing import Self

from sipis.app.server import Server
from sipis.sip.flow import Door, Transport

_numbers = itertools.count(1)


def door_of(server: Server, door: Door, transport: Transport = Transport.UDP) -> tuple[str, int]:
    """Where a running server listens."""
    listening = server._ground.endpoint.listening
    found = next(it for it in listening if it.door is door and it.transport is transport)
    return found.host, found.port


async def until(seen: Callable[[], bool]) -> None:
    """Let the loop work until it is so; the test's own time limit bounds it."""
    while not seen():  # noqa: ASYNC110 - a metric tells nobody that it changed
        await asyncio.sleep(0)


def metric(server: Server | None, name: str, **labels: str) -> float:
    """The value of a metric, zero where it has none yet."""
    assert server is not None
    return server._ground.metrics.registry.get_sample_value(f"sipis_{name}", labels) or 0.0


def request(
    method: str,
    uri: str,
    *,
    to: str = "",
    via: str = "UDP 127.0.0.2:5060",
    headers: Iterable[tuple[str, str]] = (),
    body: str = "",
) -> bytes:
    """One request, as scanners write them."""
    number = next(_numbers)
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{via};branch=z9hG4bK-raw-{number};rport",
        "Max-Forwards: 70",
        f"From: <sip:100@1.1.1.1>;tag=raw{number}",
        f"To: {to or f'<{uri}>'}",
        f"Call-ID: raw-{number}",
        f"CSeq: 1 {method}",
        "Contact: <sip:100@127.0.0.2:5060>",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Raw:
    """A UDP socket at another address than anybody's, and what went out and came in."""

    def __init__(self, host: str = "127.0.0.2") -> None:
        self.sent = self.received = 0
        self.bytes_sent = self.bytes_received = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.settimeout(0)
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.sent += 1
        self.bytes_sent += len(data)
        self._socket.sendto(data, to)

    def drain(self) -> list[bytes]:
        """Everything that has come."""
        came = []
        while True:
            try:
                came.append(self._socket.recv(65_535))
            except BlockingIOError:
                break
        self.received += len(came)
        self.bytes_received += sum(map(len, came))
        return came
