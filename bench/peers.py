"""Kamailio on loopback, as the registrar of both sides and as the peer that does our job."""

import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.programs import Program, free_port, require, wait_until

CONFIGS = Path(__file__).with_name("kamailio")
DOMAIN = "registrar.example"
PASSWORD = "secret"

_COLUMNS = (
    "id(int,auto) l_uuid(string) l_username(string) l_domain(string) r_username(string)"
    " r_domain(string) realm(string) auth_username(string) auth_password(string)"
    " auth_ha1(string,null) auth_proxy(string) expires(int) flags(int) reg_delay(int)"
    " contact_addr(string,null) socket(string,null)\n"
)


class Kamailio:
    """One Kamailio with a configuration of ours."""

    def __init__(self, config: str, folder: Path, defines: Mapping[str, object]) -> None:
        program = require("kamailio")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(socket.SOCK_DGRAM)
        self._control = folder / "control.sock"
        known = {"PORT": self.port, "CONTROL": self._control, **defines}
        switches = [word for name, value in known.items() for word in ("-A", f"{name}={value}")]
        command = [
            program, "-DD", "-E", "-f", str(CONFIGS / config), "-P", str(folder / "pid"),
            "-Y", str(folder), "-w", str(folder), "-m", "512", "-M", "32", "-b", "4194304",
            *switches,
        ]  # fmt: skip
        self.program = Program(command, folder)
        wait_until(self._is_up, f"Kamailio with {config}")

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def ask(self, *command: str) -> str:
        """The answer to an RPC."""
        done = subprocess.run(
            ["kamcmd", "-s", f"unix:{self._control}", *command],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done.stdout

    def statistic(self, group: str, name: str) -> int:
        """A counter, 0 while it is unknown."""
        found = re.search(rf"{name} = (\d+)", self.ask("stats.get_statistics", f"{group}:"))
        return int(found[1]) if found else 0

    def _is_up(self) -> bool:
        self.program.check()
        return self._control.exists() and "kamailio" in self.ask("core.version").lower()


class Registrar(Kamailio):
    """Takes every user of DOMAIN with PASSWORD; counts what it accepted."""

    def __init__(self, folder: Path, *, nonce_expire: int, max_expires: int) -> None:
        defines = {"NONCE_EXPIRE": nonce_expire, "MAX_EXPIRES": max_expires}
        super().__init__("registrar.cfg", folder, defines)

    @property
    def contacts(self) -> int:
        """Contacts in the location table."""
        return self.statistic("usrloc", "location_contacts")

    @property
    def accepted(self) -> int:
        """REGISTERs accepted since the start."""
        return self.statistic("registrar", "accepted_regs")


class Uac(Kamailio):
    """Keeps registrations of these users at a registrar, with the module uac."""

    def __init__(self, folder: Path, users: list[str], registrar: int, expires: int) -> None:
        tables = folder / "tables"
        tables.mkdir(parents=True)
        (tables / "version").write_text(
            "id(int,auto) table_name(string) table_version(int)\n1:uacreg:5\n"
        )
        rows = (_row(i, user, registrar, expires) for i, user in enumerate(users, 1))
        (tables / "uacreg").write_text(_COLUMNS + "".join(rows))
        super().__init__("uac.cfg", folder, {"TABLES": tables})

    def begin(self) -> None:
        """Start to register."""
        self.ask("uac.reg_active", "1")

    @property
    def accepted(self) -> int:
        """Transactions of ours that ended with a 2xx."""
        found = re.search(r"2xx: (\d+)", self.ask("tm.stats"))
        return int(found[1]) if found else 0


def _row(number: int, user: str, registrar: int, expires: int) -> str:
    return (
        f"{number}:{user}:{user}:127.0.0.1:{user}:{DOMAIN}:{DOMAIN}:{user}:{PASSWORD}::"
        f"sip\\:127.0.0.1\\:{registrar}:{expires}:0:0::\n"
    )
