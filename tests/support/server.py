"""`sipis serve` as a process of its own, as an operator runs it, and an app that calls its API."""

import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import Program, free_port, free_port_pair, wait_until

APP = "com.example.phone"
APP_KEY = "app-key-of-the-tests"
ADMIN_TOKEN = "admin-token-of-the-tests"


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    body: dict[str, object]
    headers: dict[str, str]


def http_call(
    port: int,
    method: str,
    path: str,
    body: object = None,
    *,
    bearer: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One HTTP request to loopback; a `bytes` body goes out as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    data = (
        body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    )
    sent = {"Authorization": f"Bearer {bearer}", **(headers or {})}
    if data is not None:
        sent.setdefault("Content-Type", "application/json")
    connection.request(method, path, data, sent)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    is_json = "json" in response.headers.get("Content-Type", "")
    return Answer(
        response.status, json.loads(text) if is_json and text else {"text": text.decode()},
        {name.lower(): value for name, value in response.headers.items()},
    )  # fmt: skip


class Server:
    """A running server, its folder and its ports."""

    def __init__(self, folder: Path, **sections: Mapping[str, object]) -> None:
        """`sections` are merged over the settings of the tests; push services come in `apps`."""
        self.folder = folder
        self.data = folder / "data"
        self.api_port = free_port(socket.SOCK_STREAM)
        self.admin_port = free_port(socket.SOCK_STREAM)
        self.sip_port = free_port_pair()
        self.app_port = free_port_pair()
        self.config = folder / "sipis.toml"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.key").write_text(APP_KEY)
        (folder / "admin.token").write_text(ADMIN_TOKEN)
        self.config.write_text(to_toml(merged(self._defaults(), sections)))
        self.program: Program | None = None

    def command(self, *words: str) -> list[str]:
        """What an operator types."""
        return [sys.executable, "-m", "sipis", *words, "--config", str(self.config)]

    def start(self, patience: float = 20.0) -> float:
        """Start it and wait until it is ready; returns the seconds that took."""
        began = time.monotonic()
        environment = {"PYTHONPATH": os.getcwd()}
        self.program = Program(self.command("serve"), self.folder, environment, name="sipis")
        wait_until(self._is_ready, "sipis to be ready", patience)
        return time.monotonic() - began

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()

    def kill(self) -> None:
        """End it as a power cut does, as far as a process can feel one."""
        assert self.program is not None
        self.program.signal(signal.SIGKILL)
        self.program.wait()

    def call(self, method: str, path: str, body: object = None, bearer: str = APP_KEY,
             headers: Mapping[str, str] | None = None) -> Answer:  # fmt: skip
        return http_call(self.api_port, method, path, body, bearer=bearer, headers=headers)

    def admin(self, path: str, method: str = "GET") -> Answer:
        return http_call(self.admin_port, method, path, bearer=ADMIN_TOKEN)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = str(self.admin("/metrics").body["text"]).splitlines()
        return sum(
            float(it.rpartition(" ")[2]) for it in lines if it.split("{")[0].split(" ")[0] == name
        )

    def files(self) -> list[Path]:
        """Every file that the server wrote."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path != self.config]

    def files_with(self, text: str) -> list[Path]:
        return [path for path in self.files() if text.encode() in path.read_bytes()]

    def _is_ready(self) -> bool:
        assert self.program is not None
        if not self.program.running:
            raise AssertionError(f"sipis ended:\n{self.program.output()[-3000:]}")
        try:
            return self.admin("/readyz").status == 200
        except OSError:
            return False

    def _defaults(self) -> dict[str, object]:
        sip, app = self.sip_port, self.app_port
        return {
            "api": {"port": self.api_port},
            "admin": {"port": self.admin_port, "token_file": str(self.folder / "admin.token")},
            "sip": {
                "provider_listeners": [f"udp:127.0.0.1:{sip}", f"tcp:127.0.0.1:{sip}"],
                "app_listeners": [f"tcp:127.0.0.1:{app}"],
            },
            "store": {"directory": str(self.data)},
            "keys": {"allow_copy_on_write": True},
            "network": {"allow": ["127.0.0.0/8"]},
            "apps": {APP: {"key_files": [str(self.folder / "app.key")]}},
        }


def merged(base: Mapping[str, object], more: Mapping[str, object]) -> dict[str, object]:
    """Two nested tables, the second one winning."""
    result = dict(base)
    for key, value in more.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def to_toml(table: Mapping[str, object], prefix: str = "") -> str:
    """A nested table as TOML; enough for the settings."""
    plain = [f"{k} = {_value(v)}" for k, v in table.items() if not isinstance(v, Mapping)]
    text = (f"[{prefix}]\n" if prefix and plain else "") + "\n".join(plain) + "\n\n"
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = f'"{key}"' if "." in key else key
            text += to_toml(value, f"{prefix}.{name}" if prefix else name)
    return text


def _value(value: object) -> str:
    return json.dumps(str(value) if isinstance(value, Path) else value)
