"""Parameters of URIs and header values: ordered, as written, looked up without regard to case.

Refuses to re-encode anything: what came in quotes or with percent escapes leaves so.
"""

from dataclasses import dataclass
from typing import Final, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import split_params, unquote
from sipis.sip.limits import MAX_PARAMS


@dataclass(frozen=True, slots=True)
class Params:
    """Name and value pairs; the value is raw text, None for a flag without `=`."""

    items: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `;name=value;flag`, empty text included; raises RemoteProtocolError."""
        if not text:
            return cls()
        lead, *pieces = split_params(text)
        if lead.strip():
            raise RemoteProtocolError("text before the first parameter")
        if len(pieces) > MAX_PARAMS:
            raise RemoteProtocolError("too many parameters")
        return cls(tuple([_parse_item(piece) for piece in pieces]))

    def get(self, name: str) -> str | None:
        """The value without its quotes, "" for a flag, None when absent."""
        wanted = name.lower()
        for item_name, value in self.items:
            if item_name == wanted or item_name.lower() == wanted:
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
        return Params(tuple(replaced))

    def without(self, name: str) -> "Params":
        """A copy that lacks the parameter."""
        wanted = name.lower()
        return Params(tuple(item for item in self.items if item[0].lower() != wanted))

    def __str__(self) -> str:
        return "".join(f";{n}" if v is None else f";{n}={v}" for n, v in self.items)


NO_PARAMS: Final = Params()


def _parse_item(piece: str) -> tuple[str, str | None]:
    name, equals, value = piece.partition("=")
    name = name.strip()
    if not name or " " in name:
        raise RemoteProtocolError("bad parameter name")
    return name, value.strip() if equals else None
