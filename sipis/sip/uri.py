"""SIP and SIPS URIs, and every other scheme as opaque text (RFC 3261 section 19.1).

Refuses to percent-encode or decode on its own: user part, parameters and headers leave as they
came. Only the case of the scheme and leading zeros of a port are normalised.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import unquote as percent_decode

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import format_hostport, parse_hostport
from sipis.sip.limits import MAX_PARAMS
from sipis.sip.params import NO_PARAMS, Params

__all__ = ["NO_PARAMS", "OpaqueUri", "Params", "SipUri", "Uri", "parse_uri"]

_FORBIDDEN: Final = re.compile(r'[\x00-\x20\x7f<>"]')
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+")

USUAL_SIP_URI: Final = (
    r"[Ss][Ii][Pp][Ss]?+:(?:[A-Za-z0-9\-_.!~*'()&=+$,/%]++@)?+[A-Za-z0-9._\-]++"
    r"(?::(?:[1-5][0-9]{0,4}+|[6-9][0-9]{0,3}+))?+"
    r"(?:;[A-Za-z0-9\-_.!~*'()/&+$%]++(?:=[A-Za-z0-9\-_.!~*'()/&+$%=]*+)?+)"
    rf"{{0,{MAX_PARAMS - 1}}}+"
)
"""SIP URIs as most peers write them; whatever matches can be read by parse_uri()."""

_USUAL_SIP_URI: Final = re.compile(USUAL_SIP_URI)

_MUST_MATCH: Final = frozenset({"user", "ttl", "method", "maddr", "transport"})
"""URI parameters that make two URIs differ even when only one carries them (section 19.1.4)."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` URI; user, password and headers are raw, host is without brackets."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: Params = NO_PARAMS
    headers: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a `sip:` or `sips:` URI; raises RemoteProtocolError (416 for another scheme)."""
        scheme, _, rest = text.partition(":")
        scheme = scheme.lower()
        if scheme not in ("sip", "sips"):
            raise RemoteProtocolError("not a SIP URI", 416)
        if _FORBIDDEN.search(rest):
            raise RemoteProtocolError("URI with spaces, quotes or brackets")
        return cls._parse_rest(scheme, rest)

    @classmethod
    def _parse_rest(cls, scheme: str, rest: str) -> Self:
        userinfo, at, tail = rest.partition("@")
        if not at:
            tail, user, password = rest, None, None
        else:
            user, password = _parse_userinfo(userinfo)
        tail, _, headers = tail.partition("?")
        hostport, semicolon, params = tail.partition(";")
        host, port = parse_hostport(hostport)
        parsed = Params.parse(";" + params) if semicolon else NO_PARAMS
        return cls(scheme, user, password, host, port, parsed, headers)

    @property
    def transport(self) -> str | None:
        """The `transport` parameter in lower case."""
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def hostport(self) -> str:
        """Host and port as in the URI, IPv6 in brackets."""
        return format_hostport(self.host, self.port)

    @property
    def unescaped_user(self) -> str | None:
        """The user part with its percent escapes resolved."""
        return None if self.user is None else _decode(self.user)

    def with_params(self, params: Params) -> "SipUri":
        """A copy with these parameters in place of its own."""
        return replace(self, params=params)

    def without_param(self, name: str) -> "SipUri":
        """A copy that lacks one parameter."""
        return replace(self, params=self.params.without(name))

    def equivalent(self, other: object) -> bool:
        """Whether both name the same resource (RFC 3261 section 19.1.4)."""
        return (
            isinstance(other, SipUri)
            and _comparable(self) == _comparable(other)
            and _params_agree(self.params, other.params)
        )

    def __str__(self) -> str:
        userinfo = "" if self.user is None else self.user
        if self.password is not None:
            userinfo += f":{self.password}"
        at = "" if self.user is None else "@"
        query = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{userinfo}{at}{self.hostport}{self.params}{query}"


@dataclass(frozen=True, slots=True)
class OpaqueUri:
    """A URI of any other scheme: `tel:`, `urn:`, unknown ones."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri = SipUri | OpaqueUri


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme; raises RemoteProtocolError."""
    if text[:4].lower() == "sip:" or text[:5].lower() == "sips:":
        return SipUri.parse(text)
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise RemoteProtocolError("URI without a scheme")
    if not rest or _FORBIDDEN.search(rest):
        raise RemoteProtocolError("URI with spaces, quotes or brackets")
    return OpaqueUri(scheme, rest)


def check_uri(text: str) -> None:
    """Raise RemoteProtocolError unless parse_uri() can read it; cheaper than reading it."""
    if not _USUAL_SIP_URI.fullmatch(text):
        parse_uri(text)


def user_of(text: str) -> str:
    """The unescaped user of a SIP URI, empty where it has none; raises RemoteProtocolError."""
    if "%" not in text and _USUAL_SIP_URI.fullmatch(text):
        return text.partition(":")[2].rpartition("@")[0]
    uri = parse_uri(text)
    return (uri.unescaped_user or "") if isinstance(uri, SipUri) else ""


def _parse_userinfo(userinfo: str) -> tuple[str, str | None]:
    user, colon, password = userinfo.partition(":")
    if not user:
        raise RemoteProtocolError("URI with an empty user part")
    return user, password if colon else None


def _comparable(uri: SipUri) -> tuple[object, ...]:
    headers = sorted(_decode(pair) for pair in uri.headers.split("&"))
    password = None if uri.password is None else _decode(uri.password)
    return uri.scheme, uri.unescaped_user, password, uri.host.lower(), uri.port, headers


def _decode(text: str) -> str:
    return percent_decode(text, errors="surrogateescape")


def _params_agree(ours: Params, theirs: Params) -> bool:
    mine, yours = _as_mapping(ours), _as_mapping(theirs)
    shared = mine.keys() & yours.keys()
    lonely = mine.keys() ^ yours.keys()
    return not (lonely & _MUST_MATCH) and all(mine[name] == yours[name] for name in shared)


def _as_mapping(params: Params) -> dict[str, str]:
    return {name.lower(): _decode(value or "").lower() for name, value in params.items}
