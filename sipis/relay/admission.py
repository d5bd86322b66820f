"""Which instance a provider's request is for, and whether its source may reach it.

In this order: the unguessable user part of our Contact, its `line` parameter, the flow that serves
one instance alone, and the address-of-record within the registrars that the source speaks for.
Refuses strangers: a source outside the registrar's learnt set is told nothing, not even that
nobody is here. Scanners that know no name cost no look-up.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sipis.clock import Clock
from sipis.config import Settings
from sipis.errors import RemoteProtocolError
from sipis.relay.finding import Found, alone_on, by_aors, by_tokens
from sipis.relay.names import aor_name
from sipis.relay.ports import Sources
from sipis.sip.flow import Flow
from sipis.sip.headers import NameAddr
from sipis.sip.message import Request
from sipis.sip.uri import SipUri, Uri
from sipis.store.gone import GoneContact
from sipis.store.runner import Store
from sipis.vault import Vault

TOKEN_DIGITS: Final = 32
MOST_NAMES: Final = 4


@dataclass(frozen=True, slots=True)
class Denied:
    """A known source asks for somebody who is not here."""

    status: int


@dataclass(frozen=True, slots=True)
class Stranger:
    """A source that may not reach anybody."""


Admitted = Sequence[Found] | Denied | Stranger
"""The instances that the request may be for, the likeliest first; or why there is none."""


class Admission:
    """Finds the instance of an initial request."""

    def __init__(
        self, store: Store, vault: Vault, clock: Clock, settings: Settings, sources: Sources
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._settings = settings
        self._sources = sources

    def trusts(self, flow: Flow) -> bool:
        """Whether any registrar speaks from there, so that errors may be answered at all."""
        return bool(self._sources.registrars_of(flow.remote[0]))

    async def admit(self, request: Request, flow: Flow) -> Admitted:
        """Look the instance up in one job of the store; StoreError when that is down."""
        tokens = contact_tokens(request)
        if tokens:
            found = await self._store.read(by_tokens, tokens, self._clock.wall())
            if found is not None:
                return self._judge(found, flow)
        if not flow.listener:
            served = await self._store.read(alone_on, flow.id, self._clock.wall())
            if served is not None:
                return self._judge(served, flow)
        return await self._by_address(request, flow)

    def _judge(self, found: Found | GoneContact, flow: Flow) -> Admitted:
        host = flow.remote[0]
        if isinstance(found, GoneContact):
            return Denied(480) if host in found.sources else Stranger()
        registrar = found.row.registrar
        by_token = self._settings.provider(registrar).inbound == "token"
        return [found] if by_token or self._sources.is_known(registrar, host) else Stranger()

    async def _by_address(self, request: Request, flow: Flow) -> Admitted:
        registrars = self._sources.registrars_of(flow.remote[0])
        if not registrars:
            return Stranger()
        indexes = [self._vault.index(aor_name(uri)) for uri in addressees(request)]
        now = self._clock.wall()
        return await self._store.read(by_aors, indexes, registrars, now) or Denied(404)


def contact_tokens(request: Request) -> list[str]:
    """Texts of the Request-URI that look like the user part of a Contact of ours."""
    uri = request.uri
    if not isinstance(uri, SipUri):
        return []
    texts = (uri.unescaped_user or "", uri.params.get("line") or "")
    return [text for text in texts if is_token(text)]


def instance_named_by(request: Request) -> str:
    """What tells a fork to another instance from a merged request (RFC 3261 8.2.2.2).

    A request that does not name our Contact is none until its instance is known.
    """
    tokens = contact_tokens(request)
    return tokens[0] if tokens else request.vias[0].branch or ""


def is_token(text: str) -> bool:
    """Whether a text has the form of our random names."""
    return len(text) == TOKEN_DIGITS and set(text) <= set("0123456789abcdef")


def addressees(request: Request) -> list[Uri]:
    """The address-of-record, as the provider names it: called party (RFC 7315), To, Request-URI."""
    named: list[Uri] = []
    called = request.headers.get("P-Called-Party-ID")
    if called is not None:
        with contextlib.suppress(RemoteProtocolError):
            named.append(NameAddr.parse(called).uri)
    return [*named, request.to.uri, request.uri][:MOST_NAMES]
