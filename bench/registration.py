"""CPU per registration and per refresh, beside Kamailio's module uac, at one registrar.

Both programs hold as many accounts at the same registrar, and refresh them in the same seconds;
only their own CPU time counts. Refreshes are frequent because the registrar grants little time: a
nonce that outlives the grant is live at every refresh, one that does not is stale at each.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.cpu import cpu_seconds
from bench.peers import DOMAIN, PASSWORD, Registrar, Uac
from bench.phones import Phone, put_to_sleep
from bench.programs import wait_until
from bench.report import Figure, Target
from bench.server import Server

GRANTED = 20.0
"""Seconds that the registrar grants; we refresh after 10 to 18 of them, Kamailio all at once."""
LIVE, STALE = 3600, 4
"""Seconds for which a nonce is good: longer than any binding here, and shorter."""
WARM_UP = GRANTED / 2 + 4
"""Seconds from the last first registration until refreshes come evenly."""
HURRY = {'providers."127.0.0.1"': {"register_per_second": 2000.0, "registers_in_flight": 512}}


def run(*, quick: bool = False) -> Iterator[Figure]:
    """First registration, refresh with a live nonce, refresh with a stale one."""
    accounts, seconds = (1000, GRANTED) if quick else (3000, 1.5 * GRANTED)
    with tempfile.TemporaryDirectory() as name:
        live = _Scene(Path(name) / "live", accounts, LIVE)
        with live:
            yield live.first_registrations()
            yield live.refreshes("live", seconds, Target(most=1.0, of_peer=True))
        stale = _Scene(Path(name) / "stale", accounts, STALE)
        with stale:
            stale.first_registrations()
            yield stale.refreshes("stale", seconds, Target(most=1.6, of_peer=True))


@dataclass
class _Meter:
    """CPU time of one program per REGISTER of its that was accepted, between two looks."""

    pid: int
    accepted: Callable[[], int]
    _cpu: float = 0.0
    _count: int = 0

    def start(self) -> None:
        self._count, self._cpu = self.accepted(), cpu_seconds(self.pid)

    def microseconds(self) -> float:
        cpu, count = cpu_seconds(self.pid) - self._cpu, self.accepted() - self._count
        return cpu / max(count, 1) * 1e6


class _Scene:
    """A registrar, our server and Kamailio's."""

    def __init__(self, folder: Path, accounts: int, nonce: int) -> None:
        self.accounts = accounts
        self.registrar = Registrar(
            folder / "registrar", nonce_expire=nonce, max_expires=int(GRANTED)
        )
        peers = [f"peer{number:05}" for number in range(accounts)]
        self.uac = Uac(folder / "uac", peers, self.registrar.port, int(GRANTED))
        self.server = Server(folder / "sipis", **HURRY)
        address = f"sip:127.0.0.1:{self.registrar.port}"
        phones = [Phone(f"user{i:05}", DOMAIN, PASSWORD, address) for i in range(accounts)]
        put_to_sleep(self.server.data, phones)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.server, self.uac, self.registrar):
            each.stop()

    def first_registrations(self) -> Figure:
        """CPU per account from nothing to registered, one program after the other."""
        theirs = _Meter(self.uac.program.pid, lambda: self.registrar.contacts)
        theirs.start()
        self.uac.begin()
        self._until(self.accounts)
        cost = theirs.microseconds()
        self.server.start()
        ours = _Meter(self.server.pid, lambda: self.registrar.contacts)
        ours.start()
        self._until(2 * self.accounts)
        return _figure("first registration", ours.microseconds(), cost)

    def refreshes(self, label: str, seconds: float, target: Target) -> Figure:
        """CPU per refresh of both in the same seconds."""
        ours = _Meter(self.server.pid, lambda: self.registrar.accepted - self.uac.accepted)
        theirs = _Meter(self.uac.program.pid, lambda: self.uac.accepted)
        time.sleep(WARM_UP)
        ours.start()
        theirs.start()
        time.sleep(seconds)
        mine, peer = ours.microseconds(), theirs.microseconds()
        return _figure(f"refresh, {label} nonce", mine, peer, target)

    def _until(self, contacts: int) -> None:
        wait_until(lambda: self.registrar.contacts >= contacts, f"{contacts} registrations", 120)


def _figure(what: str, ours: float, peer: float, target: Target | None = None) -> Figure:
    return Figure(f"registration: CPU per {what}", ours, "us", peer, "Kamailio uac", target)
