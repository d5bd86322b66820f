"""A phone's private network behind a NAT, in network namespaces of its own (Linux, root).

    us 198.18.k.1 ── wan 198.18.k.2 [router: masquerade] lan 10.99.k.1 ── eth0 10.99.k.2 [phone]

The router forwards in its own namespace; nothing of the machine's own network is changed but one
more link.
"""

import ctypes
import itertools
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.support.processes import require, require_namespaces

CLONE_NEWNET: Final = 0x40000000
NAMED: Final = Path("/run/netns")
_numbers = itertools.count(1)


class PrivateNetwork:
    """Two namespaces: `phone`, where programs can be run, and the router between it and us."""

    def __init__(self) -> None:
        require_namespaces("net", "mount")
        self._ip = require("ip")
        self._nft = require("nft")
        number = next(_numbers)
        stem = f"s{os.getpid()}x{number}"
        self.phone, self._router, self._link = f"{stem}p", f"{stem}r", stem[:14]
        self._subnet = _free_subnet()
        self._moves = 0
        self._lay_out()

    @property
    def outside(self) -> str:
        """Our address on the link: where the phone finds the server."""
        return f"198.18.{self._subnet}.1"

    @property
    def public(self) -> str:
        """The address that everything from the phone has for us."""
        return f"198.18.{self._subnet}.{2 + self._moves}"

    @property
    def inside(self) -> str:
        """The phone's own address, which leads nowhere from here."""
        return f"10.99.{self._subnet}.{2 + self._moves}"

    def command(self, *words: str) -> list[str]:
        """The same command, run on the phone."""
        return [self._ip, "netns", "exec", self.phone, *words]

    def connect(self, port: int) -> socket.socket:
        """A connection to a program on the phone, on its own loopback."""
        return self._there(lambda: socket.create_connection(("127.0.0.1", port), 5))

    def open(self, kind: socket.SocketKind, goal: tuple[str, int]) -> socket.socket:
        """A socket of the phone, at its present address, connected to a place outside."""

        def connected() -> socket.socket:
            opened = socket.socket(socket.AF_INET, kind)
            opened.bind((self.inside, 0))
            opened.connect(goal)
            opened.settimeout(0)
            return opened

        return self._there(connected)

    def set_udp_timeout(self, seconds: int) -> None:
        """For how long the NAT keeps a UDP binding over which nothing comes."""
        for name in ("udp_timeout", "udp_timeout_stream"):
            self._set(f"netfilter/nf_conntrack_{name}", seconds)

    def keep_alives_in(self) -> int:
        """How many datagrams of four bytes have come in through the NAT."""
        listed = self._run(
            "netns", "exec", self._router, self._nft, "list", "chain", "ip", "n", "f"
        )
        return int(listed.partition("packets ")[2].split()[0])

    def move(self) -> None:
        """Another network: new addresses on both sides of the NAT, its bindings are forgotten."""
        before = self.public, self.inside
        self._moves += 1
        for namespace, device, old, new in (
            (self._router, "wan", before[0], self.public),
            (self.phone, "eth0", before[1], self.inside),
        ):
            self._run("-n", namespace, "address", "del", f"{old}/24", "dev", device)
            self._run("-n", namespace, "address", "add", f"{new}/24", "dev", device)
        self._route()

    def close(self) -> None:
        for namespace in (self.phone, self._router):
            self._run("netns", "del", namespace)

    def _lay_out(self) -> None:
        gateway, link = f"10.99.{self._subnet}.1", self._link
        for namespace in (self._router, self.phone):
            self._run("netns", "add", namespace)
            self._run("-n", namespace, "link", "set", "lo", "up")
        self._run("link", "add", link, "type", "veth", "peer", "name", "wan", "netns", self._router)
        self._run("-n", self._router, "link", "add", "lan", "type", "veth",
                  "peer", "name", "eth0", "netns", self.phone)  # fmt: skip
        self._run("address", "add", f"{self.outside}/24", "dev", link)
        self._run("link", "set", link, "up")
        for namespace, device, address in (
            (self._router, "wan", self.public),
            (self._router, "lan", gateway),
            (self.phone, "eth0", self.inside),
        ):
            self._run("-n", namespace, "address", "add", f"{address}/24", "dev", device)
            self._run("-n", namespace, "link", "set", device, "up")
        self._route()
        self._set("ipv4/ip_forward", 1)
        self._run("netns", "exec", self._router, self._nft, "-f", "-", given=RULES)

    def _route(self) -> None:
        gateway = f"10.99.{self._subnet}.1"
        self._run("-n", self.phone, "route", "replace", "default", "via", gateway)

    def _set(self, name: str, value: int) -> None:
        order = f"echo {value} > /proc/sys/net/{name}"
        self._run("netns", "exec", self._router, "sh", "-c", order)

    def _run(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            [self._ip, *words], input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def _there(self, action: Callable[[], socket.socket]) -> socket.socket:
        """Do something on a thread that has moved to the phone; a socket stays where it is made."""

        def go() -> socket.socket:
            with (NAMED / self.phone).open() as namespace:
                moved = ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET)
            assert moved == 0, os.strerror(ctypes.get_errno())
            return action()

        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(go).result()


RULES: Final = """
table ip n {
  chain p { type nat hook postrouting priority 100; oifname "wan" masquerade random; }
  chain f {
    type filter hook forward priority 0;
    iifname "wan" meta l4proto udp ip length 32 counter;
  }
}
"""
"""What leaves the phone gets the router's address and a port by chance. Headers are 28 bytes."""


def _free_subnet() -> int:
    """A number that no link of this machine has; parallel workers begin at different ones."""
    known = subprocess.run(["ip", "-br", "address"], capture_output=True, text=True, check=True)
    start = os.getpid() + next(_numbers)
    candidates = (1 + (start + step) % 250 for step in range(250))
    return next(k for k in candidates if f"198.18.{k}." not in known.stdout)
