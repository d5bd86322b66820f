"""Where this server may send SIP: a table of refused networks, and a strict grammar of hosts.

A registrar's name is input from an app, so every address behind it is checked each time that it is
resolved or learnt. The table is our own: what the standard library calls global changes with its
version. Refuses to resolve names.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from sipis.errors import ConfigError, FieldError, RefusedAddress

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REFUSED_V4: Final = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, cloud metadata
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # multicast tunnels
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarking
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)

GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
"""Everything outside is refused: ::/96, mapped and translated addresses (64:ff9b::/96 and
64:ff9b:1::/48), discard-only, unique local, link-local, site-local, multicast, unassigned."""

REFUSED_V6: Final = (
    "2001::/23",  # Teredo, ORCHID, benchmarking and other protocol assignments
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: carries an IPv4 address
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)

WELL_KNOWN_PORTS: Final = frozenset({5060, 5061})
FIRST_UNPRIVILEGED_PORT: Final = 1024
LAST_PORT: Final = 65_535
LONGEST_NAME: Final = 253
MOST_VERDICTS: Final = 4096

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?+")
_NUMBER: Final = re.compile(r"[0-9]++|0[xX][0-9A-Fa-f]*+")


class NetworkPolicy:
    """The verdict on every address that a SIP packet could be sent to."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._allowed = tuple(_operator_network(text) for text in allow)
        self._refused = tuple(ip_network(text) for text in (*REFUSED_V4, *REFUSED_V6))
        self._verdicts: dict[tuple[str, int], str] = {}

    def check(self, host: str, port: int) -> None:
        """Pass an IP literal and a port that may be sent to; RefusedAddress for all others."""
        problem = self._verdicts.get((host, port))
        if problem is None:
            problem = self._judge(host, port)
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[(host, port)] = problem
        if problem:
            raise RefusedAddress(problem)

    def permits(self, host: str, port: int) -> bool:
        """Whether check() would pass."""
        try:
            self.check(host, port)
        except RefusedAddress:
            return False
        return True

    def check_name(self, host: str) -> None:
        """Pass a host as an app may write it; FieldError `host` names what is wrong with it.

        A host is an IPv4 literal of four plain decimal numbers, an IPv6 literal without zone, or a
        name of RFC 1123 labels (international names as A-labels, one trailing dot allowed) whose
        last label is no number, so that no resolver can read another address into it.
        """
        if parse_address(host) is None:
            _check_labels(host)

    def _judge(self, host: str, port: int) -> str:
        """Why the address is refused, empty when it is not."""
        address = parse_address(host)
        if address is None:
            return "not an IP literal"
        if not (port in WELL_KNOWN_PORTS or FIRST_UNPRIVILEGED_PORT <= port <= LAST_PORT):
            return "port is not one for SIP"
        if _within(address, self._allowed):
            return ""
        return "" if self._is_public(address) else "network is refused"

    def _is_public(self, address: Address) -> bool:
        if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST_V6:
            return False
        return not _within(address, self._refused)


def parse_address(host: str) -> Address | None:
    """The IP literal, None for anything else: other bases, short forms, zones, brackets."""
    if not host.isascii() or "%" in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public(host: str) -> bool:
    """Whether an IP literal lies in no network of the table, so that the world can reach it."""
    return _WORLD.permits(host, FIRST_UNPRIVILEGED_PORT)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _operator_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ConfigError("network.allow", "holds something that is no network") from None


def _check_labels(host: str) -> None:
    name = host.removesuffix(".")
    if not name or len(name) > LONGEST_NAME:
        raise FieldError("host", "is empty or too long")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise FieldError("host", "is neither a host name nor an IP address")
    if _NUMBER.fullmatch(labels[-1]):
        raise FieldError("host", "is an IP address in a form that is not accepted")


_WORLD: Final = NetworkPolicy()
