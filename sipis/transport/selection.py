"""The choices of RFC 3263 and RFC 2782 as pure functions: transports, services, order of trial.

Refuses to ask any server; chance comes in as bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sipis.errors import TransportError
from sipis.sip.flow import Transport
from sipis.sip.uri import SipUri
from sipis.transport.networks import parse_address
from sipis.transport.records import Naptr, Record
from sipis.transport.targets import Target

MOST_SERVICES: Final = 8

SERVICES: Final = {
    "SIP+D2U": Transport.UDP,
    "SIP+D2T": Transport.TCP,
    "SIPS+D2T": Transport.TLS,
}
"""NAPTR services that we use, and what they stand for (RFC 3263 4.1)."""

SRV_PREFIX: Final = {
    Transport.UDP: "_sip._udp.",
    Transport.TCP: "_sip._tcp.",
    Transport.TLS: "_sips._tcp.",
}
"""Where a domain lists its servers for a transport; WebSocket has no such list (RFC 7118 5.5)."""

_SECURED: Final = {
    Transport.TCP: Transport.TLS,
    Transport.TLS: Transport.TLS,
    Transport.WS: Transport.WSS,
    Transport.WSS: Transport.WSS,
}
"""What a transport becomes under `sips:`; UDP cannot be secured."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a URI asks for: a host in lower case, and what it says about port and transport."""

    host: str
    port: int | None
    transport: Transport | None
    secure: bool

    @property
    def fallback(self) -> Transport:
        """The transport where neither URI nor DNS names one (RFC 3263 4.1)."""
        return self.transport or (Transport.TLS if self.secure else Transport.UDP)

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address, so that no server need be asked."""
        return parse_address(self.host) is not None

    def suits(self, transport: Transport) -> bool:
        """Whether the transport may serve the URI: `sips:` never leaves TLS."""
        return transport.secure or not self.secure

    def target(self, transport: Transport, address: str, port: int) -> Target:
        """A target of this wish; TLS is checked against the host that was asked for."""
        return Target(transport, address, port, self.host if transport.secure else None)


def wish_of(uri: SipUri) -> Wish:
    """What the URI asks for; TransportError for a transport that we lack or that cannot be safe."""
    host = uri.host.lower().removesuffix(".")
    secure = uri.scheme == "sips"
    if uri.transport is None:
        return Wish(host, uri.port, None, secure)
    try:
        named = Transport(uri.transport)
        return Wish(host, uri.port, _SECURED[named] if secure else named, secure)
    except (ValueError, KeyError):
        raise TransportError("the transport of the URI cannot be used") from None


def services_of(
    records: Iterable[Record], wish: Wish, supported: Sequence[Transport]
) -> list[tuple[Transport, str]]:
    """Transport and SRV name of the usable NAPTR records, best first.

    Only the lowest order that holds a usable record counts (RFC 3403 4.1): a domain that puts TLS
    before all else is never tried without.
    """
    usable = [
        (record.order, record.preference, transport, record.replacement)
        for record in records
        if isinstance(record, Naptr)
        and record.flags.lower() == "s"
        and (transport := SERVICES.get(record.service.upper())) is not None
        and transport in supported
        and wish.suits(transport)
    ]
    lowest = min((order for order, *_ in usable), default=0)
    best = sorted((row for row in usable if row[0] == lowest), key=lambda row: row[1])
    return [(transport, name) for _, _, transport, name in best[:MOST_SERVICES]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One server: lower rank first, among equals by chance and weight."""

    rank: tuple[int, int]
    weight: int
    targets: tuple[Target, ...]

    def keeping(self, passes: Callable[[Target], bool]) -> "Candidate":
        """The same server with those of its addresses that pass."""
        return Candidate(self.rank, self.weight, tuple(filter(passes, self.targets)))


def in_order(candidates: Sequence[Candidate], entropy: Callable[[int], bytes]) -> list[Target]:
    """All targets in the order of trial; chance decides by weight within a rank (RFC 2782)."""
    ranked = sorted(candidates, key=lambda candidate: candidate.rank)
    return [
        target
        for _, group in groupby(ranked, key=lambda candidate: candidate.rank)
        for candidate in _by_weight(list(group), entropy)
        for target in candidate.targets
    ]


def _by_weight(group: list[Candidate], entropy: Callable[[int], bytes]) -> list[Candidate]:
    """Draw one after another, each with its weight as its chance; weight 0 has nearly none."""
    group.sort(key=lambda candidate: candidate.weight)
    drawn = []
    while len(group) > 1:
        total = sum(candidate.weight for candidate in group)
        mark = int.from_bytes(entropy(8), "big") % (total + 1)
        drawn.append(group.pop(_at(mark, group)))
    return drawn + group


def _at(mark: int, group: Sequence[Candidate]) -> int:
    """The place of the first candidate whose running sum of weights reaches the mark."""
    reached = 0
    for place, candidate in enumerate(group):
        reached += candidate.weight
        if reached >= mark:
            return place
    return len(group) - 1
