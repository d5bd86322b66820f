"""What the machine itself takes in this run: absolute times mean nothing without it."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.report import Figure, quantile

BLOCK = 4096
BESIDE = ("p50", 0.5), ("p99", 0.99)


def fdatasync_times(directory: Path, count: int) -> list[float]:
    """Milliseconds of as many raw writes of 4 KiB, each made durable."""
    times = []
    with (directory / "control").open("wb", buffering=0) as file:
        for _ in range(count):
            file.seek(0)
            file.write(os.urandom(BLOCK))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return times


def echo_times(count: int) -> list[float]:
    """Microseconds of as many round trips of 700 bytes over UDP on loopback."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
    ):
        far.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        threading.Thread(target=_echo, args=(far, count), daemon=True).start()
        times = []
        for _ in range(count):
            began = time.perf_counter()
            near.send(bytes(700))
            near.recv(1024)
            times.append((time.perf_counter() - began) * 1e6)
        return times


def _echo(far: socket.socket, count: int) -> None:
    for _ in range(count):
        data, address = far.recvfrom(1024)
        far.sendto(data, address)


def figures(directory: Path, count: int = 500) -> Iterator[Figure]:
    """The controls of a run."""
    syncs, echoes = fdatasync_times(directory, count), echo_times(4 * count)
    for name, share in BESIDE:
        yield Figure(f"control: raw fdatasync of 4 KiB, {name}", quantile(syncs, share), "ms")
    for name, share in BESIDE:
        yield Figure(f"control: UDP echo on loopback, {name}", quantile(echoes, share), "us")
