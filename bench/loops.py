"""What the event loop costs: uvloop beside asyncio's own, at what this server does most.

A child process for each loop opens TLS connections to this process and sends datagrams to itself.

    python -m bench loops [--quick]
"""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import uvloop

from bench.cpu import private_bytes
from bench.report import Figure
from sipis.world.tls import ThrowawayCa

CONNECTIONS, QUICK_CONNECTIONS = 400, 100
WARM_UP = 20
"""Connections that pay for what every later one shares."""
ROUND_TRIPS, QUICK_ROUND_TRIPS = 20_000, 4_000
PAYLOAD = bytes(700)
BUFFER = 65_536
"""Bytes that are read at once; asyncio's own 256 KiB cost it three times the CPU."""
LOOPS: Final[Mapping[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Memory and CPU of a TLS connection, CPU of a datagram there and back."""
    connections = QUICK_CONNECTIONS if quick else CONNECTIONS
    trips = QUICK_ROUND_TRIPS if quick else ROUND_TRIPS
    with tempfile.TemporaryDirectory() as name, _tls_server(Path(name)) as port:
        ours, theirs = (_measured_apart(loop, port, connections, trips) for loop in LOOPS)
    told = (
        ("memory of a TLS connection, client", "KiB"),
        ("CPU of a TLS handshake, client", "ms"),
        ("CPU of a 700-byte UDP round trip, both ends", "us"),
    )
    for (name, unit), value, peer in zip(told, ours, theirs, strict=True):
        yield Figure(f"loop: {name}", value, unit, peer, "asyncio")


def _measured_apart(loop: str, port: int, connections: int, trips: int) -> list[float]:
    """KiB and ms of a connection, microseconds of a round trip, in a process of their own."""
    child = [sys.executable, "-m", "bench.loops", loop, *map(str, (port, connections, trips))]
    done = subprocess.run(child, capture_output=True, text=True, check=True, timeout=300)
    return [float(word) for word in done.stdout.split()]


@contextmanager
def _tls_server(folder: Path) -> Iterator[int]:
    """A server that takes connections and says nothing; yields its port."""
    loop, context = uvloop.new_event_loop(), _server_context(folder)
    listening = socket.create_server(("127.0.0.1", 0))
    opening = loop.create_server(asyncio.Protocol, sock=listening, ssl=context)
    server = loop.run_until_complete(opening)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def _server_context(folder: Path) -> ssl.SSLContext:
    files = folder / "chain.pem", folder / "key.pem"
    for file, pem in zip(files, ThrowawayCa().issue("localhost"), strict=True):
        file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


async def _connections(port: int, count: int) -> tuple[float, float]:
    """KiB and milliseconds of CPU that each connection costs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    opened = []

    async def connect(number: int) -> None:
        for _ in range(number):
            opened.append(
                await loop.create_connection(asyncio.Protocol, "127.0.0.1", port, ssl=context)
            )

    await connect(WARM_UP)
    memory, cpu = private_bytes(os.getpid()), time.process_time()
    await connect(count)
    cpu, memory = time.process_time() - cpu, private_bytes(os.getpid()) - memory
    for transport, _ in opened:
        transport.abort()
    return memory / 1024 / count, cpu * 1e3 / count


class _Echo(asyncio.DatagramProtocol):
    """Sends back what comes, `most` times."""

    def __init__(self, most: int) -> None:
        self._left = most
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.DatagramTransport", transport)
        if hasattr(transport, "max_size"):
            transport.max_size = BUFFER

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._left:
            self._left -= 1
            self._transport.sendto(data, addr)
        elif not self.done.done():
            self.done.set_result(None)


async def _round_trip(count: int) -> float:
    """Microseconds of CPU for a datagram there and back, both ends in this process."""
    loop, here = asyncio.get_running_loop(), ("127.0.0.1", 0)
    far, _ = await loop.create_datagram_endpoint(lambda: _Echo(count), local_addr=here)
    near, ours = await loop.create_datagram_endpoint(lambda: _Echo(count - 1), local_addr=here)
    cpu = time.process_time()
    near.sendto(PAYLOAD, far.get_extra_info("sockname"))
    await ours.done
    cpu = time.process_time() - cpu
    near.close()
    far.close()
    return cpu * 1e6 / count


async def _measured(port: int, connections: int, trips: int) -> tuple[float, float, float]:
    trip = await _round_trip(trips)
    return *await _connections(port, connections), trip


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[1]]) as runner:
        print(*runner.run(_measured(*map(int, sys.argv[2:]))))
