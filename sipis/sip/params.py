"""Parameters of URIs and header values: ordered, as written, looked up without regard to case.

Refuses to re-encode anything: what came in quotes or with percent escapes leaves so.
"""

import re
from collections.abc import Iterable
from typing import Final, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import split_params, unquote
from sipis.sip.limits import MAX_PARAMS

Item = tuple[str, str | None]

USUAL_VALUE: Final = r"[!#-:<-~]++"
USUAL: Final = rf"(?:;[!#-:<>-~]++(?:={USUAL_VALUE})?+){{0,{MAX_PARAMS - 1}}}+"
"""Parameters as most peers write them: not too many, without spaces, quotes and empty values."""

_USUAL: Final = re.compile(USUAL)


class Params:
    """Name and value pairs; the value is raw text, None for a flag without `=`.

    Immutable. Parameters in the usual spelling are looked up in the text, and taken apart only when
    all of them are asked for: most messages are asked for one.
    """

    __slots__ = ("_items", "_text")

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items: tuple[Item, ...] | None = tuple(items)
        self._text: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `;name=value;flag`, empty text included; raises RemoteProtocolError."""
        if not _USUAL.fullmatch(text):
            return cls(_parse_items(text))
        params = cls()
        params._items, params._text = None, text
        return params

    @property
    def items(self) -> tuple[Item, ...]:
        """All pairs in order."""
        if self._items is None:
            self._items = _parse_items(self._text or "")
        return self._items

    def get(self, name: str) -> str | None:
        """The value without its quotes, "" for a flag, None when absent."""
        if self._text is not None:
            return find_param(self._text, name)
        wanted = name.lower()
        for item_name, value in self.items:
            if item_name.lower() == wanted:
                return "" if value is None else unquote(value)
        return None

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def with_(self, name: str, value: str | None = None) -> "Params":
        """A copy where the parameter has this raw value, in its old place or at the end."""
        wanted = name.lower()
        replaced = [(n, value if n.lower() == wanted else v) for n, v in self.items]
        if name not in self:
            replaced.append((name, value))
        return Params(replaced)

    def without(self, name: str) -> "Params":
        """A copy that lacks the parameter."""
        wanted = name.lower()
        return Params(item for item in self.items if item[0].lower() != wanted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self.items == other.items

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        return f"Params({self.items!r})"

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        return "".join(f";{n}" if v is None else f";{n}={v}" for n, v in self.items)


NO_PARAMS: Final = Params()


def find_param(text: str, name: str) -> str | None:
    """The value of a parameter out of text in the usual spelling: "" for a flag, None if absent."""
    if not text:
        return None
    lower, wanted = text.lower(), ";" + name.lower()
    end = 0
    while (start := lower.find(wanted, end)) >= 0:
        end = start + len(wanted)
        follows = text[end : end + 1]
        if follows == "=":
            return text[end + 1 :].partition(";")[0]
        if follows in (";", ""):
            return ""
    return None


def _parse_items(text: str) -> tuple[Item, ...]:
    if not text:
        return ()
    lead, *pieces = split_params(text)
    if lead.strip():
        raise RemoteProtocolError("text before the first parameter")
    if len(pieces) > MAX_PARAMS:
        raise RemoteProtocolError("too many parameters")
    return tuple([_parse_item(piece) for piece in pieces])


def _parse_item(piece: str) -> Item:
    name, equals, value = piece.partition("=")
    name = name.strip()
    if not name or " " in name:
        raise RemoteProtocolError("bad parameter name")
    return name, value.strip() if equals else None
