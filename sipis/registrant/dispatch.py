"""From a claim to its first REGISTER: open the account, find the registrar, pass its gates.

Refuses to wait for responses; what cannot be sent ends in a Result at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from sipis.clock import Clock
from sipis.config import ProviderSettings
from sipis.errors import FieldError, KeyGone, RemoteProtocolError, TransportError, VaultError
from sipis.registrant.bindings import Identity, Place, place_of
from sipis.registrant.order import Order, Way
from sipis.registrant.politeness import Desk, Politeness
from sipis.registrant.schedule import Outcome, Result, requested_expires
from sipis.registrant.sources import Sources
from sipis.registrant.traces import Trace
from sipis.sip.flow import Flow, Transport
from sipis.sip.uri import SipUri
from sipis.store import registrars
from sipis.store.runner import Store
from sipis.store.schedule import Claim
from sipis.transport.endpoint import Endpoint
from sipis.transport.targets import Target, share_of
from sipis.vault import OpenedAccount, Vault

KEPT_FOR: Final = 5.0
"""Seconds for which a registrar's only address is kept without a look-up."""

MOST_KEPT: Final = 4096

_log: Final = structlog.get_logger("registrant")


class Resolver(Protocol):
    """Finds the servers of a domain (RFC 3263)."""

    async def resolve(self, uri: SipUri) -> list[Target]:
        """Targets in order of trial; TransportError when there is none."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms below that the registrant works with."""

    store: Store
    vault: Vault
    endpoint: Endpoint
    resolver: Resolver
    clock: Clock


class Opening:
    """What stands between a claim and its exchange."""

    def __init__(
        self,
        rooms: Rooms,
        politeness: Politeness,
        sources: Sources,
        provider: Callable[[str], ProviderSettings],
        *,
        expires: int,
    ) -> None:
        self._rooms = rooms
        self._politeness = politeness
        self._sources = sources
        self._provider = provider
        self._expires = expires
        self._kept: dict[tuple[str, str], tuple[float, Way]] = {}
        self._flows: dict[Target, Flow] = {}

    def open(self, claim: Claim) -> OpenedAccount | Result | None:
        """The opened account; None when its key is gone, a Result when its record is broken."""
        try:
            return self._rooms.vault.open_account(claim)
        except KeyGone:
            return None
        except VaultError as broken:
            _log.error("record cannot be opened", instance=claim.id, problem=type(broken).__name__)
            return Result(Outcome.NO_CREDENTIALS)

    async def order(self, claim: Claim, opened: OpenedAccount) -> Order | Result:
        """Everything that the exchange needs, or why there is none."""
        now, doubtful = self._rooms.clock.wall(), not claim.proven or claim.refusals > 0
        desk = self._politeness.desk(claim.registrar)
        if not desk.introduced:
            await self._introduce(desk, claim.registrar)
        try:
            place = place_of(opened.account)
            ways = await self.ways(claim.registrar, place)
        except RemoteProtocolError:  # a URI of the account is none
            return Result(Outcome.MISFIT)
        except (TransportError, FieldError):
            return Result(Outcome.UNREACHABLE)
        passable = _passable(ways, now, doubtful=doubtful, again=claim.failures > 0)
        if isinstance(passable, Result):
            return passable
        wanted = opened.account.expires or self._expires
        return Order(
            claim=claim,
            desk=desk,
            doubtful=doubtful,
            opened=opened,
            place=place,
            identity=Identity.of(claim.contact_token, claim.call_id),
            provider=self._provider(claim.registrar),
            trace=Trace.of(claim.binding),
            expires=requested_expires(wanted, desk.min_expires, claim.expires_at, now),
            ways=passable,
        )

    async def ways(self, registrar: str, place: Place) -> list[Way]:
        """The addresses of a registrar in order of trial, learnt as sources of its requests.

        A single address is kept for a moment, so that a crowd of phones asks once; where there are
        several, each phone gets its own order by weight (RFC 2782).
        """
        kept = self._kept.get((registrar, place.key))
        now = self._rooms.clock.wall()
        if kept is not None and now - KEPT_FOR < kept[0] <= now:
            return [kept[1]]
        ways = await self._find_ways(registrar, place, now)
        if len(ways) == 1:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[registrar, place.key] = (now, ways[0])
        return ways

    async def _find_ways(self, registrar: str, place: Place, now: float) -> list[Way]:
        targets, ways = await self._rooms.resolver.resolve(place.next_hop), []
        for target in targets:
            self._sources.learn(registrar, target.host, now)
            gate = self._politeness.known_gate(target.host)
            if gate is None:
                known = await self._rooms.store.read(registrars.standing, target.host)
                gate = self._politeness.new_gate(target.host, registrar, known)
            ways.append(Way(target, gate))
        return ways

    async def flow_to(self, target: Target, claim: Claim) -> Flow:
        """A flow under the provider's policy for shared and separate sources.

        A shared UDP flow is kept: it lasts as long as the process. TransportError: there is none.
        """
        provider = self._provider(claim.registrar)
        udp = target.transport is Transport.UDP
        policy = provider.udp_source if udp else provider.flows
        kept = udp and policy == "shared"
        flow = self._flows.get(target) if kept else None
        if flow is None:
            share = share_of(policy, claim.contact_token)
            flow = await self._rooms.endpoint.flow_to(target, share=share, provider=claim.registrar)
            if kept:
                self._keep(target, flow)
        return flow

    def _keep(self, target: Target, flow: Flow) -> None:
        if len(self._flows) >= MOST_KEPT:
            self._flows.clear()
        self._flows[target] = flow

    async def _introduce(self, desk: Desk, registrar: str) -> None:
        """Read what the store remembers of a registrar."""
        desk.introduced = True
        known = await self._rooms.store.read(registrars.get, registrar)
        desk.min_expires = max(desk.min_expires, known.min_expires if known else 0)


def _passable(ways: list[Way], now: float, *, doubtful: bool, again: bool) -> list[Way] | Result:
    """The ways whose gates are open, or the shortest wait."""
    waits = [way.gate.wait(now, doubtful=doubtful, again=again) for way in ways]
    passable = [way for way, wait in zip(ways, waits, strict=True) if wait is None]
    if passable:
        return passable
    shortest = min(wait for wait in waits if wait is not None)
    return Result(Outcome.PROVIDER_PAUSED, retry_after=shortest)
