"""Where the requests of a provider may come from: what its name resolved to, and who answered us.

The set is learnt while registering and outlives restarts, so that the first call after a start is
not taken for a stranger's. Refuses to learn from requests: only our own look-ups and the final
answers to our own REGISTERs teach.
"""

import sqlite3
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from sipis.config import ProviderSettings
from sipis.store import registrars

RELEARN: Final = 86_400.0
"""An address that is seen all the time is written down once in so many seconds."""

MOST_PER_REGISTRAR: Final = registrars.MOST_SOURCES


class Sources:
    """The learnt addresses of every registrar in use, in memory and soon after in the store."""

    def __init__(
        self, provider: Callable[[str], ProviderSettings], with_extra: Iterable[str] = ()
    ) -> None:
        """`with_extra` names the providers whose settings may hold extra sources."""
        self._provider = provider
        self._with_extra = tuple(with_extra)
        self._seen: dict[str, dict[str, float]] = {}
        self._unwritten: dict[str, set[str]] = {}

    def load(self, learnt: Iterable[tuple[str, Iterable[str]]], now: float) -> None:
        """Take up what the store remembers: registrar and addresses."""
        for registrar, hosts in learnt:
            self._seen.setdefault(registrar, {}).update((plain(host), now) for host in hosts)

    def learn(self, registrar: str, host: str, now: float) -> None:
        """Note that this IP literal belongs to the registrar."""
        seen = self._seen.setdefault(registrar, {})
        last = seen.get(host)
        if last is None or last < now - RELEARN:
            seen[plain(host)] = now
            self._unwritten.setdefault(registrar, set()).add(plain(host))
            if len(seen) > MOST_PER_REGISTRAR:
                del seen[min(seen, key=seen.__getitem__)]

    def is_known(self, registrar: str, host: str) -> bool:
        """Whether a request from this IP literal may be for an instance of the registrar."""
        literal = plain(host)
        return literal in self._seen.get(registrar, ()) or self._is_extra(registrar, literal)

    def registrars_of(self, host: str) -> list[str]:
        """The registrars for whose instances this IP literal may speak."""
        literal = plain(host)
        learnt = [registrar for registrar, seen in self._seen.items() if literal in seen]
        extra = [it for it in self._with_extra if it not in learnt and self._is_extra(it, literal)]
        return learnt + extra

    def take_unwritten(self) -> dict[str, set[str]]:
        """What the store does not know yet; the caller writes it down."""
        taken, self._unwritten = self._unwritten, {}
        return taken

    def _is_extra(self, registrar: str, literal: str) -> bool:
        extra = self._provider(registrar).extra_sources
        return bool(extra) and any(ip_address(literal) in network for network in _networks(extra))


def plain(host: str) -> str:
    """The literal in one spelling; an IPv4 address inside an IPv6 one comes out."""
    address = ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def load_all(conn: sqlite3.Connection) -> list[tuple[str, tuple[str, ...]]]:
    """Every registrar in use with its learnt addresses (a job of the store)."""
    return [(row.key, registrars.sources(conn, row.key)) for row in registrars.in_use(conn)]


def write_down(conn: sqlite3.Connection, learnt: dict[str, set[str]], now: float) -> None:
    """Keep newly learnt addresses (a job of the store)."""
    for registrar, hosts in learnt.items():
        registrars.learn(conn, registrar, sorted(hosts), now)


def _networks(extra: tuple[str, ...]) -> Iterable[IPv4Network | IPv6Network]:
    return (ip_network(text, strict=False) for text in extra)
