"""The header lines of one message, in order and as written.

Names compare without regard to case, and compact names equal long ones (RFC 3261 section 7.3).
Parsed values are kept until their header changes. Refuses line breaks and bare NUL in new values.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Self, TypeVar, cast

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.grammar import first_value, is_token, split_list
from sipis.sip.limits import MAX_VALUES

T = TypeVar("T")

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

_Field = tuple[str, str, str]
"""Key (lower-case long name), value (unfolded), line (as on the wire, without its CRLF)."""


class Headers:
    """Ordered raw headers; reading never fails for absence, only for bad syntax."""

    __slots__ = ("_fields", "_first", "_lists", "_parsed")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[_Field] = [_new_field(name, value) for name, value in pairs]
        self._first: dict[str, str] | None = None
        self._parsed: dict[tuple[str, Callable[[str], object]], object] = {}
        self._lists: dict[str, object] = {}

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Self:
        """Take header lines off the wire, a folded one in one piece; raises RemoteProtocolError."""
        headers = cls()
        fields, usual = headers._fields, _KEYS.get
        for line in lines:
            name, _, value = line.partition(": ")
            key = usual(name)
            if key is None or "\r" in value:
                fields.append(_read_field(line))
            else:
                fields.append((key, value.strip(" \t"), line))
        return headers

    def get(self, name: str) -> str | None:
        """The first value with this name, unfolded; None when absent."""
        return (self._first or self._index()).get(_KEYS.get(name) or _unusual_key(name))

    def get_all(self, name: str) -> list[str]:
        """The value of each line with this name; comma lists stay joined."""
        wanted = key_of(name)
        return [value for key, value, _ in self._fields if key == wanted]

    def get_list(self, name: str) -> list[str]:
        """Every single value with this name, out of comma lists; raises RemoteProtocolError."""
        values = [value for line in self.get_all(name) for value in split_list(line)]
        if len(values) > MAX_VALUES:
            raise RemoteProtocolError(f"too many {name} values")
        return values

    def repeated(self, names: frozenset[str]) -> set[str]:
        """Those of these lower-case long names that more than one line bears."""
        found = [field[0] for field in self._fields if field[0] in names]
        if len(found) == len({*found}):
            return set()
        return {name for name in found if found.count(name) > 1}

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The value of the first line with this name, parsed once; None when absent.

        `name` is in lower case and long. Raises what the parser raises.
        """
        known = self._parsed.get((name, parse))
        if known is None:
            value = (self._first or self._index()).get(name)
            if value is None:
                return None
            known = self._parsed[name, parse] = parse(value)
        return cast("T", known)

    def parsed_list(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Every single value, parsed once; one parser per header; raises what the parser raises."""
        key = key_of(name)
        if key not in self._lists:
            self._lists[key] = tuple([parse(value) for value in self.get_list(name)])
        return cast("tuple[T, ...]", self._lists[key])

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
        places = [i for i, (key, _, _) in enumerate(self._fields) if key == field[0]]
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
        old = self._fields[place][1]
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
        return self.only(None)

    def only(self, keys: frozenset[str] | None) -> "Headers":
        """A copy of the lines whose lower-case long name is in `keys` (None: of all)."""
        chosen = Headers()
        chosen._fields = [field for field in self._fields if keys is None or field[0] in keys]
        return chosen

    def lines(self) -> list[str]:
        """The lines as they go on the wire, without CRLF."""
        return [field[2] for field in self._fields]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for _, value, line in self._fields:
            yield line.partition(":")[0].rstrip(), value

    def __len__(self) -> int:
        return len(self._fields)

    def _index(self) -> dict[str, str]:
        """The first value of each name."""
        self._first = first = {key: value for key, value, _ in reversed(self._fields)}
        return first

    def _forget(self, key: str) -> None:
        self._first = None
        self._parsed = {of: value for of, value in self._parsed.items() if of[0] != key}
        self._lists.pop(key, None)


def key_of(name: str) -> str:
    """The lower-case long name."""
    return _KEYS.get(name) or _unusual_key(name)


def _unusual_key(name: str) -> str:
    lower = name.lower()
    return _COMPACT.get(lower, lower)


def _read_field(line: str) -> _Field:
    name, colon, value = line.partition(":")
    key = _KEYS.get(name)
    if key is None or not colon:
        key = _key_on_wire(name, colon)
    if "\r\n" in value:
        value = _FOLD.sub(" ", value)
    return key, value.strip(" \t"), line


def _key_on_wire(name: str, colon: str) -> str:
    name = name.rstrip(" \t")
    if not colon or not is_token(name):
        raise RemoteProtocolError("header line without a proper name")
    return key_of(name)


def _new_field(name: str, value: str) -> _Field:
    # Three scans in C beat one expression, which is left to judge a NUL.
    if "\n" in value or "\r" in value or ("\0" in value and _BARE_NUL.search(value)):
        raise LocalProtocolError("line break or NUL in a header value")
    key = _KEYS.get(name)
    if key is None:
        if not is_token(name):
            raise LocalProtocolError("header name is not a token")
        key = _unusual_key(name)
    return key, value.strip(" \t"), f"{name}: {value}"
