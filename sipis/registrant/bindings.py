"""REGISTER as we write it, and what a 200 to it says (RFC 3261 section 10).

Everything that names a binding stays byte for byte the same for its whole life: Call-ID, From tag,
Contact user, instance URN; otherwise the registrar keeps ghosts and the provider forks every call
twice. Refuses `Contact: *`, and refuses to look at the contacts of other devices in a 200.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from sipis.model import Account
from sipis.sip.flow import Transport
from sipis.sip.grammar import format_hostport, parse_number, quote, split_list
from sipis.sip.limits import MAX_SECONDS
from sipis.sip.message import Request, Response
from sipis.sip.uri import SipUri
from sipis.vault import Authorized

METHOD: Final = "REGISTER"
_ALLOW: Final = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, NOTIFY"
_SUPPORTED: Final = {True: "Supported: path, outbound", False: "Supported: path"}
"""By whether the transport is reliable: on UDP `outbound` would promise STUN (RFC 5626)."""
_EXPIRES: Final = re.compile(r';[ \t]*+expires[ \t]*+=[ \t]*+"?+([0-9]{1,10})', re.IGNORECASE)
_SIMPLE_AOR: Final = re.compile(
    r"(sips?:[^\x00-\x20\x7f<>\":;?@]++@)([A-Za-z0-9.\-]++(?:[:;].*+)?)"
)
_SERVICE_ROUTES: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where an account registers. `next_hop` is what gets resolved, `uri` the Request-URI.

    `home` is the host of the AoR; `key` names the next hop, so that what was found out about it can
    be kept. No part of it belongs to one account.
    """

    uri: str
    domain: str
    home: str
    next_hop: SipUri
    key: str
    route: str = ""


class Identity(NamedTuple):
    """What makes the binding ours at the registrar: random texts that outlive restarts."""

    token: str
    call_id: str
    urn: str

    @classmethod
    def of(cls, token: str, call_id: str) -> "Identity":
        """The identity of a row; the instance URN follows from the Contact token."""
        return cls(token, call_id, _urn(token))


class Ask(NamedTuple):
    """One REGISTER: its sequence number, seconds wanted (0 removes), and the address of ours.

    `old_contact` is a Contact URI of ours to remove in the same request; `plain` leaves out every
    header that a registrar could stumble over.
    """

    cseq: int
    expires: int
    host: str
    port: int
    transport: Transport = Transport.UDP
    plain: bool = False
    old_contact: str = ""


class Grant(NamedTuple):
    """What a 200 says of our own binding: seconds left to it (0: there is none)."""

    seconds: int
    service_route: tuple[str, ...] = ()


def place_of(account: Account) -> Place:
    """Where this account registers; raises RemoteProtocolError when its URIs are no SIP URIs."""
    user, home = _split(account.aor)
    scheme = user.partition(":")[0]
    return _place(scheme, home, account.registrar or "", account.outbound_proxy or "")


def contact_uri(identity: Identity, host: str, port: int, transport: Transport) -> str:
    """Our Contact URI; `line` carries the token again for registrars that replace the user."""
    via = "" if transport is Transport.UDP else f";transport={transport.uri_token}"
    return f"sip:{identity.token}@{format_hostport(host, port)}{via};line={identity.token}"


def build_register(
    account: Account,
    place: Place,
    identity: Identity,
    ask: Ask,
    *,
    user_agent: str,
    answers: Iterable[Authorized] = (),
) -> Request:
    """The REGISTER, without Via; `answers` are those of the vault.

    Raises LocalProtocolError when a text of the account cannot stand in a header.
    """
    aor = address_of_record(account.aor, place)
    display = f"{quote(account.display_name)} " if account.display_name else ""
    lines = [
        "Max-Forwards: 70",
        f"From: {display}<{aor}>;tag={_from_tag(identity)}",
        f"To: {display}<{aor}>",
        f"Call-ID: {identity.call_id}",
        f"CSeq: {ask.cseq} {METHOD}",
        f"Contact: {_contact(identity, ask)}",
        f"Expires: {ask.expires}",
        f"User-Agent: {account.user_agent or user_agent}",
        *[f"{one.header_name}: {one.value}" for one in answers],
    ]
    if place.route:
        lines.insert(0, f"Route: {place.route}")
    if not ask.plain:
        lines += (_SUPPORTED[ask.transport.reliable], _ALLOW)
    lines.append("Content-Length: 0")
    return Request.written(METHOD, place.uri, lines)


def address_of_record(aor: str, place: Place) -> str:
    """The AoR as From and To carry it: no port, no parameters (RFC 3261 table 1, 10.2)."""
    return f"{_split(aor)[0]}{place.home}"


def read_grant(response: Response, identity: Identity, requested: int) -> Grant:
    """What a 2xx granted us: the `expires` of our own Contact, else Expires, else what we asked.

    Our Contact is the one with our token or URN, else the only one; without it nothing is bound.
    Raises RemoteProtocolError when Contact cannot be taken apart.
    """
    mine = _own_contact(response.headers.get_all("contact"), identity)
    if mine is None:
        return Grant(0)
    stated = _stated_expires(mine)
    if stated is None:
        stated = requested if response.expires is None else response.expires
    return Grant(stated, _service_route(response))


def flow_timer(response: Response) -> int | None:
    """Seconds after which the registrar gives a silent flow up (RFC 5626 4.4), if it says so."""
    stated = response.headers.get("flow-timer")
    return None if stated is None else parse_number(stated, MAX_SECONDS)


def _own_contact(lines: Sequence[str], identity: Identity) -> str | None:
    if len(lines) == 1 and "," not in lines[0]:
        return lines[0] if lines[0] != "*" else None
    values = [value for line in lines for value in split_list(line)]
    mine = [value for value in values if identity.token in value or identity.urn in value]
    if mine:
        return max(mine, key=_seconds_of)
    return values[0] if len(values) == 1 else None


def _seconds_of(contact: str) -> int:
    """A Contact of ours that is on its way out never hides the living one beside it."""
    stated = _stated_expires(contact)
    return 1 if stated is None else stated


def _stated_expires(contact: str) -> int | None:
    """The `expires` behind the URI; a +sip.instance after it has angle brackets of its own."""
    stated = _EXPIRES.search(contact, contact.find(">") + 1)
    return None if stated is None else int(stated[1])


def _service_route(response: Response) -> tuple[str, ...]:
    if "service-route" not in response.headers:
        return ()
    return tuple(response.headers.get_all("service-route")[:_SERVICE_ROUTES])


def _contact(identity: Identity, ask: Ask) -> str:
    uri = contact_uri(identity, ask.host, ask.port, ask.transport)
    bound = f"<{uri}>"
    if not ask.plain:
        bound += f';+sip.instance="<{identity.urn}>"'
        if ask.transport.reliable:
            bound += ";reg-id=1"
    if ask.expires == 0:
        return f"{bound};expires=0"
    if not ask.old_contact or ask.old_contact == uri:
        return bound
    return f"{bound};expires={ask.expires}, <{ask.old_contact}>;expires=0"


def _from_tag(identity: Identity) -> str:
    return identity.call_id.partition("@")[0][-16:]


def _urn(token: str) -> str:
    """Our own instance URN (RFC 5626 4.1): never the phone's, or we would replace its binding."""
    digits = hashlib.sha256(b"sip.instance|" + token.encode()).hexdigest()
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def _split(aor: str) -> tuple[str, str]:
    """`sip:user@` and the rest; raises RemoteProtocolError when the AoR is no SIP URI.

    The rest is what many accounts share and is worth keeping parsed; the user never is.
    """
    simple = _SIMPLE_AOR.fullmatch(aor)
    if simple is not None:
        return simple[1], simple[2]
    uri = SipUri.parse(aor)
    user = "" if uri.user is None else f"{uri.user}@"
    return f"{uri.scheme}:{user}", f"{uri.hostport}{uri.params}"


@lru_cache(maxsize=1024)
def _place(scheme: str, home: str, registrar: str, proxy: str) -> Place:
    aor = SipUri.parse(f"{scheme}:{home}")
    own = SipUri.parse(registrar) if registrar else aor
    next_hop = SipUri.parse(proxy) if proxy else own
    if aor.transport and next_hop.transport is None:
        next_hop = next_hop.with_params(next_hop.params.with_("transport", aor.transport))
    if own.scheme == "sips" and next_hop.scheme == "sip":
        next_hop = _secured(next_hop)
    return Place(
        uri=f"{own.scheme}:{own.hostport}",
        domain=own.host.lower(),
        home=format_hostport(aor.host, None),
        next_hop=next_hop,
        key=str(next_hop),
        route=_route(proxy),
    )


def _secured(uri: SipUri) -> SipUri:
    """A sips AoR never travels in the clear, whatever its proxy is called."""
    return SipUri("sips", uri.user, None, uri.host, uri.port, uri.params)


def _route(proxy: str) -> str:
    if not proxy:
        return ""
    uri = SipUri.parse(proxy)
    params = uri.params if "lr" in uri.params else uri.params.with_("lr")
    return f"<{uri.with_params(params)}>"
