"""Programs under test and beside it: started, waited for, always ended."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

Found = TypeVar("Found")
PATIENCE = 30.0
PAUSE = 0.05


class NotHere(Exception):
    """A peer is not installed; its figure is left out and the line says so."""


class Stuck(Exception):
    """A program ended early, or what a bench waits for did not come."""


def require(program: str) -> str:
    """The path of a peer; NotHere when it is not installed."""
    path = shutil.which(program)
    if path is None:
        raise NotHere(f"{program} is not installed")
    return path


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(look: Callable[[], Found], what: str, patience: float = PATIENCE) -> Found:
    """Look again and again until there is something to see."""
    end = time.monotonic() + patience
    while not (seen := look()):
        if time.monotonic() > end:
            raise Stuck(f"waited {patience:.0f} s in vain: {what}")
        time.sleep(PAUSE)
    return seen


class Program:
    """A running program; its output goes to a file in its folder."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "output.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})},
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The main process."""
        return self._process.pid

    def check(self) -> None:
        """Raise Stuck when the program has ended by itself."""
        if self._process.poll() is not None:
            raise Stuck(f"ended early:\n{self.log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """End it; by force when it takes its time."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
