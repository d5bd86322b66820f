"""What one attempt leaves for the next: the remembered challenge, and from where it registered.

As text in the store it is short and only changes when something has changed. Refuses secrets: all
of this went over the wire.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from sipis.errors import RemoteProtocolError, VaultError
from sipis.sip.flow import Transport
from sipis.sip.grammar import format_hostport, parse_hostport, split_list, unquote
from sipis.sip.message import Response
from sipis.store.schedule import Binding
from sipis.vault import Authorized, NonceState

Address = tuple[str, int]

NOWHERE: Final[Address] = ("", 0)


class Trace(NamedTuple):
    """The last challenge answered; transport, local address and Contact address of a binding."""

    nonce: NonceState | None = None
    service_route: tuple[str, ...] = ()
    transport: Transport | None = None
    local: Address = NOWHERE
    contact: Address = NOWHERE

    @classmethod
    def of(cls, binding: Binding) -> "Trace":
        """Read what to_binding() wrote; what cannot be read was never there."""
        transport, local, contact = _read_place(binding.place)
        return cls(_read_nonce(binding.nonce), binding.service_route, transport, local, contact)

    def to_binding(self) -> Binding:
        """The texts for the store; the nonce count has a column of its own."""
        nonce = "" if self.nonce is None else _uncounted(self.nonce).to_text()
        place = ""
        if self.transport is not None:
            local, contact = format_hostport(*self.local), format_hostport(*self.contact)
            place = f"{self.transport.value} {local} {contact}"
        return Binding(nonce, self.service_route, place)

    def says_the_same(self, other: "Trace") -> bool:
        """Whether both make the same texts, as they do after most refreshes."""
        return (
            self.contact == other.contact
            and self.local == other.local
            and self.transport is other.transport
            and self.service_route == other.service_route
            and _same_nonce(self.nonce, other.nonce)
        )


def live_nonce(nonce: NonceState | None, count: int) -> NonceState | None:
    """The remembered nonce, so that its next use has this count."""
    return None if nonce is None else nonce._replace(uses=max(count - 1, 0))


def next_nonce(response: Response, answers: Mapping[bool, Authorized]) -> NonceState | None:
    """The nonce for the next attempt: `nextnonce` (RFC 7616 3.5), else the one just accepted.

    Where registrar and proxy both asked, the registrar's is kept.
    """
    accepted = answers.get(False) or answers.get(True)
    if accepted is None:
        return None
    field = "proxy-authentication-info" if accepted.nonce.proxy else "authentication-info"
    told = response.headers.get(field)
    fresh = _param(told, "nextnonce") if told else ""
    return accepted.nonce._replace(nonce=fresh, uses=0) if fresh else accepted.nonce


def seen_address(response: Response) -> Address | None:
    """Where the registrar saw the request come from (RFC 3581); None when it did not say."""
    return response.source


def _uncounted(nonce: NonceState) -> NonceState:
    """A session algorithm needs its first client nonce; all others would only change the text."""
    cnonce = nonce.cnonce if nonce.algorithm.is_session else ""
    return nonce._replace(uses=0, cnonce=cnonce)


def _same_nonce(one: NonceState | None, other: NonceState | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.of_same_challenge(other) and not one.algorithm.is_session


def _read_nonce(text: str) -> NonceState | None:
    try:
        return NonceState.from_text(text) if text else None
    except VaultError:
        return None


@lru_cache(maxsize=1024)
def _read_place(text: str) -> tuple[Transport | None, Address, Address]:
    words = text.split(" ")
    try:
        transport, local, contact = words
        return Transport(transport), _read_address(local), _read_address(contact)
    except (ValueError, RemoteProtocolError):
        return None, NOWHERE, NOWHERE


def _read_address(text: str) -> Address:
    host, port = parse_hostport(text)
    return host, port or 0


def _param(text: str, name: str) -> str:
    for piece in split_list(text):
        key, _, value = piece.partition("=")
        if key.strip().lower() == name:
            return unquote(value.strip())
    return ""
