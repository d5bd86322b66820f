"""The header lines of one message, in order and as written.

Names compare without regard to case, and compact names equal long ones (RFC 3261 section 7.3).
What was read of a value is kept until its header changes. Refuses line breaks and bare NUL in new
values.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, Self

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.grammar import first_value, is_token, split_list
from sipis.sip.limits import MAX_VALUES

_COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"""Compact forms of the IANA registry of SIP header fields."""

_COMMON: Final = (
    "Accept Allow Authorization Call-ID Contact Content-Length Content-Type CSeq Event Expires From"
    " Max-Forwards Min-Expires P-Asserted-Identity Path Proxy-Authenticate Proxy-Authorization"
    " Reason Record-Route Require Retry-After Route Server Service-Route Supported To User-Agent"
    " Via WWW-Authenticate"
)

_KEYS: Final[dict[str, str]] = {
    **_COMPACT,
    **{name: name.lower() for name in _COMMON.split()},
    **{name.lower(): name.lower() for name in _COMMON.split()},
}
"""Spellings that need no further thought; fixed, so that peers cannot make it grow."""

_BARE_NUL: Final = re.compile(r"(?<!\\)\0")
_FOLD: Final = re.compile(r"[ \t]*+\r\n[ \t]++")

_Field = tuple[str, str]
"""Key (lower-case long name) and line (as on the wire, without its CRLF)."""


class Part(Protocol):
    """What may be read of a header; see `sipis.sip.message.parts`."""

    header: str


class Headers:
    """Ordered raw headers; reading never fails for absence, only for bad syntax."""

    __slots__ = ("_fields", "_first", "kept")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[_Field] = [_new_field(name, value) for name, value in pairs]
        self._first: dict[str, str] | None = None
        self.kept: dict[Part, Any] = {}
        """What has been read already, each part of the type that its reader gives it."""

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Self:
        """Take header lines off the wire, a folded one in one piece; raises RemoteProtocolError."""
        headers = cls()
        fields, usual = headers._fields, _KEYS.get
        first: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            key = usual(name)
            if key is None or "\r" in value:
                key, value = _read_unusual(line)
            fields.append((key, line))
            first.setdefault(key, value)
        headers._first = first
        return headers

    def get(self, name: str) -> str | None:
        """The first value with this name, unfolded; None when absent."""
        return self.first(_KEYS.get(name) or _unusual_key(name))

    def first(self, key: str) -> str | None:
        """The first value under this lower-case long name, unfolded; None when absent."""
        value = (self._first or self._index()).get(key)
        return None if value is None else value.strip(" \t")

    def get_all(self, name: str) -> list[str]:
        """The value of each line with this name; comma lists stay joined."""
        wanted = key_of(name)
        return [_value_of(line) for key, line in self._fields if key == wanted]

    def get_list(self, name: str) -> list[str]:
        """Every single value with this name, out of comma lists; raises RemoteProtocolError."""
        values = [value for line in self.get_all(name) for value in split_list(line)]
        if len(values) > MAX_VALUES:
            raise RemoteProtocolError(f"too many {name} values")
        return values

    def repeated(self, names: frozenset[str]) -> set[str]:
        """Those of these lower-case long names that more than one line bears."""
        if len(self._first or self._index()) == len(self._fields):
            return set()
        found = [key for key, _ in self._fields if key in names]
        return {key for key in found if found.count(key) > 1}

    def add(self, name: str, value: str) -> None:
        """Append a header; raises LocalProtocolError on a line break or NUL."""
        self._fields.append(_new_field(name, value))
        self._forget(key_of(name))

    def prepend(self, name: str, value: str) -> None:
        """Put a header before all others; raises LocalProtocolError on a line break or NUL."""
        self._fields.insert(0, _new_field(name, value))
        self._forget(key_of(name))

    def set(self, name: str, value: str) -> None:
        """Replace all headers of this name, at the place of the first; else append."""
        field = _new_field(name, value)
        places = [i for i, (key, _) in enumerate(self._fields) if key == field[0]]
        if places:
            self._fields[places[0]] = field
        else:
            self._fields.append(field)
        for place in reversed(places[1:]):
            del self._fields[place]
        self._forget(field[0])

    def set_first(self, name: str, value: str) -> None:
        """Replace only the topmost single value of this name, or prepend the header."""
        key = key_of(name)
        place = next((i for i, field in enumerate(self._fields) if field[0] == key), None)
        if place is None:
            self.prepend(name, value)
            return
        old = _value_of(self._fields[place][1])
        rest = old[len(first_value(old)) :] if "," in old else ""
        self._fields[place] = _new_field(name, value + rest)
        self._forget(key)

    def remove(self, name: str) -> None:
        """Drop all headers of this name; none is fine."""
        key = key_of(name)
        self._fields = [field for field in self._fields if field[0] != key]
        self._forget(key)

    def copy(self) -> "Headers":
        """An independent copy, lines as they are."""
        copy = Headers()
        copy._fields = self._fields.copy()
        return copy

    def only(self, keys: frozenset[str]) -> "Headers":
        """A copy of the lines whose lower-case long name is in `keys`."""
        chosen = Headers()
        chosen._fields = [field for field in self._fields if field[0] in keys]
        return chosen

    def lines(self) -> list[str]:
        """The lines as they go on the wire, without CRLF."""
        return [line for _, line in self._fields]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for _, line in self._fields:
            yield line.partition(":")[0].rstrip(" \t"), _value_of(line)

    def __len__(self) -> int:
        return len(self._fields)

    def _index(self) -> dict[str, str]:
        """The first value of each name; blanks may still stand around it."""
        self._first = {key: _value_of(line) for key, line in reversed(self._fields)}
        return self._first

    def _forget(self, key: str) -> None:
        self._first = None
        self.kept = {part: value for part, value in self.kept.items() if part.header != key}


def key_of(name: str) -> str:
    """The lower-case long name."""
    return _KEYS.get(name) or _unusual_key(name)


def _unusual_key(name: str) -> str:
    lower = name.lower()
    return _COMPACT.get(lower, lower)


def _key_of_token(name: str) -> str | None:
    return _unusual_key(name) if is_token(name) else None


def _value_of(line: str) -> str:
    value = line.partition(":")[2]
    if "\r" in value:
        value = _FOLD.sub(" ", value)
    return value.strip(" \t")


def _read_unusual(line: str) -> tuple[str, str]:
    """Key and value of a line that is folded or has no common name with colon and space."""
    name, colon, _ = line.partition(":")
    key = _key_of_token(name.rstrip(" \t"))
    if key is None or not colon:
        raise RemoteProtocolError("header line without a proper name")
    return key, _value_of(line)


def _new_field(name: str, value: str) -> _Field:
    # Three scans in C beat one expression, which is left to judge a NUL.
    if "\n" in value or "\r" in value or ("\0" in value and _BARE_NUL.search(value)):
        raise LocalProtocolError("line break or NUL in a header value")
    key = _KEYS.get(name) or _key_of_token(name)
    if key is None:
        raise LocalProtocolError("header name is not a token")
    return key, f"{name}: {value}"
