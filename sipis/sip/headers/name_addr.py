"""Addresses of From, To, Contact, Route and their like (RFC 3261 sections 20.10 and 25.1).

Refuses the one form that cannot be read for sure: a bare URI with a comma or question mark.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import quote, quoted_end, split_list, unquote
from sipis.sip.params import NO_PARAMS, USUAL, USUAL_VALUE, Params, find_param
from sipis.sip.uri import USUAL_SIP_URI, Uri, parse_uri

_USUAL: Final = re.compile(
    rf"""(?:"[^"\\]*+" ?+|[A-Za-z0-9\-.!%*_+`'~ ]*+)<{USUAL_SIP_URI}>"""
    rf"(?:;tag=({USUAL_VALUE}))?+({USUAL})"
)
"""An address as most peers write it; whatever matches can be read by NameAddr.parse()."""


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A display name (unquoted; None when there is none), a URI, and header parameters."""

    display: str | None
    uri: Uri
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one `name-addr` or `addr-spec`; raises RemoteProtocolError."""
        text = text.strip()
        if text.startswith('"'):
            end = quoted_end(text)
            return cls._parse_bracketed(unquote(text[:end]), text[end:].lstrip())
        before, bracket, _ = text.partition("<")
        if not bracket or '"' in before:
            return cls._parse_bare(text)
        if "," in before or ";" in before:
            raise RemoteProtocolError("separator in an unquoted display name")
        return cls._parse_bracketed(before.rstrip() or None, text[len(before) :])

    @classmethod
    def parse_many(cls, text: str) -> list[Self]:
        """Read a comma list; raises RemoteProtocolError."""
        return [cls.parse(value) for value in split_list(text)]

    @classmethod
    def _parse_bracketed(cls, display: str | None, text: str) -> Self:
        uri, bracket, params = text[1:].partition(">")
        if text[:1] != "<" or not bracket:
            raise RemoteProtocolError("address without angle brackets around its URI")
        return cls(display, parse_uri(uri), Params.parse(params.strip()))

    @classmethod
    def _parse_bare(cls, text: str) -> Self:
        uri, semicolon, params = text.partition(";")
        if "?" in uri or "," in uri:
            raise RemoteProtocolError("a URI with comma or question mark needs angle brackets")
        return cls(None, parse_uri(uri.rstrip()), Params.parse(semicolon + params))

    @property
    def tag(self) -> str | None:
        """The `tag` parameter (section 19.3)."""
        return self.params.get("tag") or None

    def with_param(self, name: str, value: str | None = None) -> "NameAddr":
        """A copy with one header parameter set."""
        return replace(self, params=self.params.with_(name, value))

    def __str__(self) -> str:
        display = "" if self.display is None else quote(self.display) + " "
        return f"{display}<{self.uri}>{self.params}"


def tag_of(text: str) -> str | None:
    """The tag of an address, which is checked but not taken apart where it is of the usual form.

    Raises RemoteProtocolError whenever NameAddr.parse() does.
    """
    usual = _USUAL.fullmatch(text)
    if usual is None:
        return NameAddr.parse(text).tag
    return usual[1] or find_param(usual[2], "tag") or None
