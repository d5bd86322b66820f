"""Pushes per CPU second, beside aioapns and firebase-admin, at the same servers of the world.

Each client runs in a process of its own and the servers in another; all use the same event loop,
the same payload and the same number of pushes in flight. Only the client's CPU time between the
first and the last measured push counts.

    python -m bench.push [--quick]
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.report import Figure, Target

PUSHES, QUICK_PUSHES = 3000, 1000
IN_FLIGHT: Final = 50
ROUNDS: Final = 2
"""Each client is measured that often, in turn, and the best round counts: noise only ever slows."""
UNIT: Final = "pushes/s"


@dataclass(frozen=True)
class Pair:
    """One of our clients, the peer's, and what the ratio is to be."""

    name: str
    ours: str
    peer: str
    beside: str
    target: Target


PAIRS: Final = (
    Pair("APNs", "apns", "aioapns", "aioapns", Target(least=1.5, of_peer=True)),
    Pair("FCM", "fcm", "firebase", "firebase-admin", Target(least=10.0, of_peer=True)),
)


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Pushes per CPU second of each adapter."""
    pushes = QUICK_PUSHES if quick else PUSHES
    with tempfile.TemporaryDirectory() as name, Servers(Path(name)) as servers:
        best = servers.best_rates(
            {pair.ours for pair in PAIRS} | {pair.peer for pair in PAIRS}, pushes
        )
    for pair in PAIRS:
        yield Figure(
            f"push: {pair.name}, per CPU second, {IN_FLIGHT} in flight",
            best[pair.ours],
            UNIT,
            best[pair.peer],
            pair.beside,
            pair.target,
        )


class Servers:
    """The world's APNs and FCM in a process of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = _python("bench.push_servers", str(directory), stdin=subprocess.PIPE)

    def __enter__(self) -> "Servers":
        assert self._process.stdout is not None
        self._process.stdout.readline()  # the line says that both listen
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def best_rates(self, clients: set[str], pushes: int) -> dict[str, float]:
        """Measure the clients in turn; return the best rate of each."""
        best = dict.fromkeys(sorted(clients), 0.0)
        for _ in range(ROUNDS):
            for client in best:
                best[client] = max(best[client], self._rate(client, pushes))
        return best

    def _rate(self, client: str, pushes: int) -> float:
        process = _python(
            "bench.push_client", client, str(self._directory), str(pushes), str(IN_FLIGHT)
        )
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the client {client} failed")
        return pushes / float(json.loads(output)["cpu"])


def _python(module: str, *arguments: str, stdin: int | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    for figure in run(quick="--quick" in sys.argv):
        print(figure.line(), flush=True)
