"""From a SIP URI to an ordered list of targets (RFC 3263), each passed by the network policy.

A `sips:` URI and `transport=tls` lead to TLS or nowhere. An explicit port turns SRV off. IP
literals ask no server. Every answer is checked each time it is resolved, so a name that moves into
a refused network is refused (DNS rebinding).
Refuses to try the targets: whoever sends walks down the list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sipis.clock import Clock
from sipis.errors import FieldError, RefusedAddress, TransportError
from sipis.sip.flow import Transport
from sipis.sip.uri import SipUri
from sipis.transport.networks import NetworkPolicy
from sipis.transport.records import FAILURE_TTL, AresNameServer, NameServer, RecordCache, Srv
from sipis.transport.selection import SRV_PREFIX, Candidate, Wish, in_order, services_of, wish_of
from sipis.transport.targets import Target

MOST_PLANS: Final = 4096
MOST_TARGETS: Final = 16
LONG: Final = 3600.0
"""Seconds for which what needs no server is kept."""

_LOOPBACK: Final = {4: "127.0.0.1", 6: "::1"}
_ADDRESS_TYPE: Final = {4: "A", 6: "AAAA"}


@dataclass(frozen=True, slots=True)
class Found:
    """Something looked up, and the seconds for which it holds."""

    candidates: tuple[Candidate, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class _Plan:
    candidates: tuple[Candidate, ...]
    until: float


class Resolver:
    """Finds the servers of a SIP domain."""

    def __init__(
        self,
        *,
        policy: NetworkPolicy,
        clock: Clock,
        entropy: Callable[[int], bytes],
        nameservers: Sequence[str] = (),
        transports: Sequence[Transport] = (Transport.UDP, Transport.TCP, Transport.TLS),
        families: Sequence[int] = (4, 6),
        server: NameServer | None = None,
    ) -> None:
        """`transports` in order of preference where DNS has none, `families` in that of trial."""
        self._policy = policy
        self._clock = clock
        self._entropy = entropy
        self._transports = tuple(transports)
        self._families = tuple(families)
        self._records = RecordCache(server or AresNameServer(nameservers), clock)
        self._plans: dict[Wish, _Plan] = {}

    async def resolve(self, uri: SipUri) -> list[Target]:
        """The targets in the order of trial, at least one.

        Raises FieldError for a host that is none, RefusedAddress when every address lies in a
        refused network, TransportError when there is no server or the name servers are silent.
        """
        self._policy.check_name(uri.host)
        wish = wish_of(uri)
        plan = self._plans.get(wish)
        if plan is None or plan.until <= self._clock.monotonic():
            plan = await self._make_plan(wish)
        return in_order(plan.candidates, self._entropy)[:MOST_TARGETS]

    async def close(self) -> None:
        """Let go of the name servers."""
        await self._records.close()

    async def _make_plan(self, wish: Wish) -> _Plan:
        self._plans.pop(wish, None)
        found = await self._find(wish)
        plan = _Plan(self._passed(found.candidates), self._clock.monotonic() + found.ttl)
        if len(self._plans) >= MOST_PLANS:
            self._plans.pop(next(iter(self._plans)))
        self._plans[wish] = plan
        return plan

    def _passed(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates less every address that the policy refuses; never none."""
        if not candidates:
            raise TransportError("the domain has no server")
        checked = [
            candidate.keeping(lambda target: self._policy.permits(target.host, target.port))
            for candidate in candidates
        ]
        passed = tuple(candidate for candidate in checked if candidate.targets)
        if not passed:
            raise RefusedAddress("every address of the domain is refused")
        return passed

    async def _find(self, wish: Wish) -> Found:
        """Every server that fits the wish (RFC 3263 4.1, 4.2)."""
        if wish.is_literal:
            port = wish.port or wish.fallback.default_port
            target = wish.target(wish.fallback, wish.host, port)
            return Found((Candidate((0, 0), 0, (target,)),), LONG)
        if wish.port is not None:
            return await self._by_address(wish, wish.port)
        if wish.transport is None:
            return await self._by_naptr(wish)
        return await self._by_srv(wish, [wish.transport])

    async def _by_naptr(self, wish: Wish) -> Found:
        """Over the transports that the domain prefers, else over ours."""
        try:
            answer = await self._records.lookup(wish.host, "NAPTR")
        except TransportError:  # some name servers fail for types that they do not know
            return _at_most(await self._by_srv(wish, self._suitable(wish)), FAILURE_TTL)
        services = services_of(answer.records, wish, self._transports)
        found = await self._servers(wish, services)
        if not found.candidates:
            found = await self._by_srv(wish, self._suitable(wish))
        return _at_most(found, answer.ttl)

    def _suitable(self, wish: Wish) -> list[Transport]:
        """Our transports for a URI that names none: TLS only for `sips:`, never for `sip:`."""
        return [t for t in self._transports if t in SRV_PREFIX and t.secure == wish.secure]

    async def _by_srv(self, wish: Wish, transports: Iterable[Transport]) -> Found:
        """The servers under the domain's own SRV names, else the domain's addresses."""
        names = [(t, SRV_PREFIX[t] + wish.host) for t in transports if t in SRV_PREFIX]
        found = await self._servers(wish, names)
        if found.candidates:
            return found
        addresses = await self._by_address(wish, wish.fallback.default_port)
        return _at_most(addresses, found.ttl)

    async def _by_address(self, wish: Wish, port: int) -> Found:
        addresses, ttl = await self._addresses(wish.host)
        targets = tuple(wish.target(wish.fallback, address, port) for address in addresses)
        return Found((Candidate((0, 0), 0, targets),) if targets else (), ttl)

    async def _servers(self, wish: Wish, names: Sequence[tuple[Transport, str]]) -> Found:
        """The servers under all these SRV names, those of the first name ranked first.

        A name or server that cannot be asked for is passed over while another one is found.
        """
        candidates: list[Candidate] = []
        ttl, silent = LONG, False
        for place, (transport, name) in enumerate(names):
            try:
                found = await self._service(wish, transport, name, place)
            except TransportError:
                silent = True
                continue
            candidates += found.candidates
            ttl = min(ttl, found.ttl)
        if silent and not candidates:
            raise TransportError("name servers do not answer")
        return Found(tuple(candidates), min(ttl, FAILURE_TTL) if silent else ttl)

    async def _service(self, wish: Wish, transport: Transport, name: str, place: int) -> Found:
        """The servers under one SRV name; TransportError when none of them could be asked for."""
        answer = await self._records.lookup(name, "SRV")
        rows = sorted((r for r in answer.records if isinstance(r, Srv)), key=lambda r: r.priority)
        hosts = [await self._try_addresses(row.target) for row in rows[:MOST_TARGETS]]
        if hosts and all(host is None for host in hosts):
            raise TransportError("name servers do not answer")
        candidates = tuple(
            _candidate(wish, transport, place, row, host[0])
            for row, host in zip(rows, hosts, strict=False)
            if host is not None and host[0]
        )
        lives = (FAILURE_TTL if host is None else host[1] for host in hosts)
        return Found(candidates, min(answer.ttl, *lives, LONG))

    async def _try_addresses(self, name: str) -> tuple[list[str], float] | None:
        try:
            return await self._addresses(name)
        except TransportError:
            return None

    async def _addresses(self, name: str) -> tuple[list[str], float]:
        """The addresses of a host name and their TTL; none for what is no host name."""
        try:
            self._policy.check_name(name)
        except FieldError:  # the target "." of a SRV record says: no such service here
            return [], LONG
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
            return [_LOOPBACK[family] for family in self._families], LONG
        return await _whichever([self._lookup(name, family) for family in self._families])

    async def _lookup(self, name: str, family: int) -> tuple[list[str], float]:
        answer = await self._records.lookup(name, _ADDRESS_TYPE[family])
        return [record for record in answer.records if isinstance(record, str)], answer.ttl


async def _whichever(
    lookups: Iterable[Awaitable[tuple[list[str], float]]],
) -> tuple[list[str], float]:
    """The addresses of all families that could be asked for; TransportError when none could."""
    outcomes = await asyncio.gather(*lookups, return_exceptions=True)
    answers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    if not answers:
        raise TransportError("name servers do not answer")
    addresses = [address for found, _ in answers for address in found]
    ttl = min(ttl for found, ttl in answers if found or not addresses)
    return addresses, ttl if len(answers) == len(outcomes) else min(ttl, FAILURE_TTL)


def _candidate(
    wish: Wish, transport: Transport, place: int, row: Srv, addresses: Sequence[str]
) -> Candidate:
    targets = tuple(wish.target(transport, address, row.port) for address in addresses)
    return Candidate((place, row.priority), row.weight, targets)


def _at_most(found: Found, ttl: float) -> Found:
    return Found(found.candidates, min(found.ttl, ttl))
