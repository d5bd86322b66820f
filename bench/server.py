"""`sipis serve` as a process of its own, with the settings of a bench."""

import http.client
import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bench.phones import APP
from bench.programs import Program, free_port, wait_until

ROOT = Path(__file__).parents[1]
ADMIN_TOKEN = "admin-token-of-the-benches"


class Server:
    """A server whose data lie in `folder`/data; phones may be put there before it starts."""

    environment: Mapping[str, str] = {}
    """What its process finds in its environment beside our own."""

    def __init__(self, folder: Path, **sections: Mapping[str, object]) -> None:
        """`sections` are added to the settings; a key of them may be dotted."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.sip_port = free_port()
        self.api_port = free_port(socket.SOCK_STREAM)
        self._admin_port = free_port(socket.SOCK_STREAM)
        (folder / "token").write_text(ADMIN_TOKEN)
        (folder / "sipis.toml").write_text(_toml({**self._defaults(), **sections}))
        self.program: Program | None = None

    @property
    def pid(self) -> int:
        """The running process."""
        assert self.program is not None
        return self.program.pid

    def start(self, patience: float = 60.0) -> float:
        """Start it; returns the seconds until it was ready."""
        began = time.monotonic()
        config = str(self.folder / "sipis.toml")
        self.program = Program(
            [sys.executable, "-m", "sipis", "serve", "--config", config],
            self.folder, {"PYTHONPATH": str(ROOT), **self.environment},
        )  # fmt: skip
        wait_until(self._is_ready, "sipis to be ready", patience)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it."""
        if self.program is not None:
            self.program.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        assert self.program is not None
        self.program.check()
        connection = http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _defaults(self) -> dict[str, Mapping[str, object]]:
        return {
            "api": {"port": self.api_port, "requests_per_minute": 1_000_000},
            "admin": {"port": self._admin_port, "token_file": str(self.folder / "token")},
            "sip": {
                "provider_listeners": [f"udp:127.0.0.1:{self.sip_port}"],
                "app_listeners": ["tcp:127.0.0.1:0"],
            },
            "store": {"directory": str(self.data)},
            "keys": {"allow_copy_on_write": True},
            "network": {"allow": ["127.0.0.0/8"]},
            "log": {"level": "warning"},
            f"apps.{APP}": {"trial": True},
        }


def _toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
