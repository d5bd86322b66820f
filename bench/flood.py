"""A live server under a mixed flood: does it still put every call through, and stay in its bounds?

    python -m bench.flood [--minutes 10] [--calls-per-second 20]

Whole calls to sleeping phones are made at an even pace while others flood both SIP doors and the
API with garbage, probes, made-up logins, oversize messages, half messages, slow and dropped
connections. Exit code 1 when a call is lost or a bound is broken.
"""

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import uvloop

from bench.flood_attackers import Target
from bench.flood_report import Report
from bench.flood_siege import Plan, Siege
from bench.flood_town import Town
from bench.phones import APP
from bench.programs import free_port
from bench.server import Server
from sipis.config import LogSettings
from sipis.observe.log import set_up

PHONES: Final = 240
"""So that none is called more often than ten times a minute, which is what a phone can be."""
WARM_UP: Final = 75.0
"""Seconds of calls alone, longer than transactions are remembered: from then on calls come and go,
and what grows is due to the flood."""
QUIET: Final = 60.0
"""Seconds without a call after which it is looked whether the server lets go."""
REST: Final = 190.0
"""Seconds in which transactions, idle connections to FCM, what late wakers are told and whoever was
silent run out of time, and the memory of all that is given back."""
APP_KEY: Final = "app-key-of-the-flood"


AS_DEPLOYED: Final = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}
"""How the container and the unit of the manual set the allocator: what is freed is overwritten."""


class Besieged(Server):
    """A server with all doors open, and the allocator as it is deployed."""

    environment = AS_DEPLOYED

    def __init__(self, folder: Path, town: Town, *, calls_per_second: float) -> None:
        self._calls_per_second = calls_per_second
        self._town = town
        self.app_port = _free_pair()
        self.tls_port = free_port(socket.SOCK_STREAM)
        folder.mkdir(parents=True)
        self.folder = folder
        super().__init__(folder, **self._apps())

    @property
    def target(self) -> Target:
        """Where the attackers find it."""
        return Target(self.sip_port, self.app_port, self.tls_port, self.api_port)

    def _apps(self) -> dict[str, Mapping[str, object]]:
        key = self.folder / "app.key"
        key.write_text(APP_KEY)
        return {
            f"apps.{APP}": {"key_files": [str(key)]},
            f"apps.{APP}.fcm": self._town.fcm_settings(),
        }

    def _defaults(self) -> dict[str, Mapping[str, object]]:
        """All phones are at one address, so it may ask often; nobody else is given more."""
        usual = super()._defaults()
        asked = 600 + 180 * self._calls_per_second
        return usual | {
            "api": {"port": self.api_port, "requests_per_minute": int(asked)},
            "sip": {
                "provider_listeners": [f"{kind}:127.0.0.1:{self.sip_port}" for kind in _BOTH],
                "app_listeners": [
                    *(f"{kind}:127.0.0.1:{self.app_port}" for kind in _BOTH),
                    f"tls:127.0.0.1:{self.tls_port}",
                ],
                "relay_uris": [f"sip:127.0.0.1:{self.app_port};transport=tcp"],
                **self._certificate(),
            },
        }

    def _certificate(self) -> dict[str, str]:
        files = {"cert_file": self.folder / "server.pem", "key_file": self.folder / "server.key"}
        for file, pem in zip(files.values(), self._town.authority.issue("127.0.0.1"), strict=True):
            file.write_bytes(pem)
        return {name: str(file) for name, file in files.items()}


_BOTH: Final = ("udp", "tcp")


def _free_pair() -> int:
    """A port that is free for UDP and for TCP."""
    while True:
        port = free_port(socket.SOCK_STREAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def flood(folder: Path, plan: Plan) -> Report:
    """Start everybody and carry the plan out."""
    async with Town(folder) as town:
        with Besieged(folder / "server", town, calls_per_second=plan.calls_per_second) as server:
            server.start()
            api = f"http://127.0.0.1:{server.api_port}"
            await town.settle(api, APP_KEY, APP, PHONES)
            siege = Siege(town, server.pid, server.target, folder / "attackers", plan)
            return await siege.carry_out(_say)


def main() -> int:
    """Print what happens and the figures; 1 when a target is missed."""
    wanted = _arguments()
    set_up(LogSettings(level="error"))
    plan = Plan(wanted.minutes * 60, wanted.calls_per_second, WARM_UP, QUIET, REST)
    _say(f"load average before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        figures = list(uvloop.run(flood(Path(name), plan)).figures())
    for figure in figures:
        _say(figure.line())
    return 1 if any(figure.met is False for figure in figures) else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--calls-per-second", type=float, default=20.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
