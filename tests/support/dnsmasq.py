"""dnsmasq as the name server of the tests: records as it writes them, changed by a restart."""

import re
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.support.processes import Program, free_port_pair, require, wait_until

ZONE = "example"
PROBE = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05probe\x07example\x00\x00\x01\x00\x01"
"""Asks for the address of `probe.example`."""


class Dnsmasq:
    """Knows what it is told of the zone `example`, denies the rest of it, and asks nobody else.

    Records are lines of its configuration: `naptr-record=…`, `srv-host=…`, `host-record=…`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port_pair()
        self._starts = 0
        self.program: Program | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def serve(self, records: Sequence[str], *, ttl: int = 60) -> None:
        """Serve these records and no others; whatever it knew before is gone."""
        self.stop()
        self._starts += 1
        config = self._folder / f"dnsmasq-{self._starts}.conf"
        config.write_text("\n".join([
            f"port={self._port}", "listen-address=127.0.0.1", "bind-interfaces", "user=root",
            "no-resolv", "no-hosts", "no-poll", f"local=/{ZONE}/", f"local-ttl={ttl}",
            "log-queries", "log-facility=-", "cache-size=0", *records, "",
        ]))  # fmt: skip
        command = [require("dnsmasq"), "--keep-in-foreground", f"--conf-file={config}"]
        self.program = Program(command, self._folder, name=config.stem)
        wait_until(self._answers, "dnsmasq to answer")

    def stop(self) -> None:
        """Fall silent."""
        if self.program is not None:
            self.program.stop()

    def asked(self) -> list[tuple[str, str]]:
        """Every question since the last start: name and type."""
        assert self.program is not None
        found = re.findall(r"query\[(\w+)\] (\S+) from", self.program.output())
        return [(name, kind) for kind, name in found if not name.startswith("probe.")]

    def _answers(self) -> bool:
        assert self.program is not None
        if not self.program.running:
            raise AssertionError(f"dnsmasq ended:\n{self.program.output()[-3000:]}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.2)
            asker.connect(("127.0.0.1", self._port))
            try:
                asker.send(PROBE)
                return bool(asker.recv(512))
            except OSError:
                return False
