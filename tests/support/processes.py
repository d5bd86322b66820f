"""Real programs started by tests: found or skipped, watched, always ended."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

Found = TypeVar("Found")
PATIENCE = 20.0


def require(program: str) -> str:
    """The path of a peer; in CI its absence fails the test, elsewhere it skips it."""
    return shutil.which(program) or lacking(f"the SIP peer {program} is not installed")


def lacking(what: str) -> NoReturn:
    """Something that a test needs is not there: fails the test in CI, elsewhere skips it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def require_namespaces(*kinds: str) -> None:
    """Skip where the machine lets nobody make namespaces of these kinds: no package brings that."""
    options = [f"--{kind}" for kind in kinds]
    probe = subprocess.run([require("unshare"), *options, "true"], capture_output=True, check=False)
    if os.geteuid() != 0 or probe.returncode != 0:
        pytest.skip(f"this machine lets us make no namespaces ({', '.join(kinds)})")


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM, host: str = "127.0.0.1") -> int:
    """A port that nobody uses now, for programs that cannot choose one themselves.

    It lies below the range of ephemeral ports and is given out once, so that nothing else takes it
    before its program does.
    """
    return next(port for port in _PORTS if _is_free(port, kind, host))


def free_port_pair() -> int:
    """A port that is free for UDP and for TCP."""
    while True:
        port = free_port(socket.SOCK_STREAM)
        if _is_free(port, socket.SOCK_DGRAM, "127.0.0.1"):
            return port


def _is_free(port: int, kind: socket.SocketKind, host: str) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _ports() -> Iterator[int]:
    """Ports of this process alone: each worker of a parallel run has a share of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + worker % WORKERS * PORTS_EACH
    start = os.getpid() % PORTS_EACH
    return (first + (start + step) % PORTS_EACH for step in itertools.count())


WORKERS = 8
PORTS_EACH = 2_500
_PORTS = _ports()


def wait_until(look: Callable[[], Found], what: str, patience: float = PATIENCE) -> Found:
    """Look again and again until there is something to see; for programs that send no events."""
    end = time.monotonic() + patience
    pause = select_pause()
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:.0f} s in vain: {what}")
        pause()
    return seen


def select_pause() -> Callable[[], None]:
    """A short wait between two looks at another process."""
    import select

    return lambda: (select.select([], [], [], 0.02), None)[1]


class Program:
    """A running program; its output goes to a file that a failing test shows."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name or Path(command[0]).name
        self.log = folder / f"{self.name}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, patience: float = PATIENCE) -> int:
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs:\n{self.output()[-3000:]}") from None

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
