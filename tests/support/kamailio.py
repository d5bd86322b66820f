"""Kamailio as a SIP provider on loopback: registrar and proxy over UDP, TCP, TLS and WebSocket."""

import re
import subprocess
from pathlib import Path

from sipis.sip.flow import Transport
from tests.support.processes import Program, free_port_pair, lacking, require, wait_until

CONFIG = Path(__file__).with_name("kamailio.cfg")
DOMAIN = "provider.example"
LIBRARIES = Path("/usr/lib")


class Kamailio:
    """A provider for the domain `provider.example`; user U has the password `secret-U`."""

    def __init__(
        self,
        folder: Path,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        **switches: str,
    ) -> None:
        program = require("kamailio")
        if "WITH_WEBSOCKET" in switches:
            require_module("websocket")
        self.port = free_port_pair()
        self.tls_port = free_port_pair()
        self._control = folder / "control.sock"
        defines = {"PORT": str(self.port), "CONTROL": str(self._control), **switches}
        if certificate and key:
            defines |= {
                "WITH_TLS": "1", "TLS_PORT": str(self.tls_port),
                "CERTIFICATE": str(certificate), "KEY": str(key),
            }  # fmt: skip
        command = [program, "-DD", "-E", "-f", str(CONFIG), "-P", str(folder / "pid"),
                   "-Y", str(folder), "-w", str(folder), "-m", "64", "-M", "8",
                   *(word for it in defines.items() for word in ("-A", "=".join(it)))]  # fmt: skip
        self.program = Program(command, folder)
        wait_until(self._answers, "Kamailio to start")

    def address(self, transport: Transport = Transport.UDP) -> str:
        """The URI to register at, since no DNS knows the domain."""
        port = self.tls_port if transport.secure else self.port
        return f"sip:127.0.0.1:{port};transport={transport}"

    def contacts(self) -> list[str]:
        """Every contact in the location table."""
        return re.findall(r"Address: (\S+)", self._ask("ul.dump"))

    def sockets(self) -> list[str]:
        """By which socket of its own each contact registered: `udp:127.0.0.1:5060`."""
        return re.findall(r"Socket: (\S+)", self._ask("ul.dump"))

    def registrations(self) -> int:
        """How many REGISTERs were accepted since the start."""
        found = re.search(r"accepted_regs = (\d+)", self._ask("stats.get_statistics", "registrar:"))
        return int(found[1]) if found else 0

    def requests(self, method: str = "") -> int:
        """How many requests (of that method) arrived since the start."""
        name = f"rcv_requests_{method.lower()}" if method else "rcv_requests"
        found = re.search(rf"{name} = (\d+)", self._ask("stats.get_statistics", "core:"))
        return int(found[1]) if found else 0

    def stop(self) -> None:
        self.program.stop()

    def _answers(self) -> bool:
        if not self.program.running:
            raise AssertionError(f"Kamailio ended:\n{self.program.output()[-3000:]}")
        return self._control.exists() and "version" in self._ask("core.version").lower() + "version"

    def _ask(self, *command: str) -> str:
        done = subprocess.run(
            ["kamcmd", "-s", f"unix:{self._control}", *command],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
        return done.stdout


def require_module(name: str) -> None:
    """Some modules are in Debian packages of their own."""
    if not any(LIBRARIES.glob(f"*/kamailio/modules/{name}.so")):
        lacking(f"the SIP peer kamailio has no module {name}")
