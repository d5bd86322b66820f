"""Challenges and credentials as written (RFC 3261 sections 20.7 and 20.44, RFC 7235 section 2.1).

Refuses to compute: what a Digest challenge asks and how it is answered is in `sipis.sip.digest`.
"""

from dataclasses import dataclass
from typing import Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import is_token, split_list
from sipis.sip.params import NO_PARAMS, Params


@dataclass(frozen=True, slots=True)
class _AuthValue:
    """A scheme and its parameters; values in `params.items` keep their quotes."""

    scheme: str
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read exactly one; raises RemoteProtocolError."""
        values = cls.parse_many(text)
        if len(values) != 1:
            raise RemoteProtocolError("expected one authentication value")
        return values[0]

    @classmethod
    def parse_many(cls, text: str) -> list[Self]:
        """Read a list where commas part both parameters and values; raises RemoteProtocolError."""
        found: list[tuple[str, list[tuple[str, str | None]]]] = []
        for piece in split_list(text):
            scheme, item = _parse_piece(piece)
            if scheme is not None:
                found.append((scheme, []))
            elif not found:
                raise RemoteProtocolError("authentication parameter before any scheme")
            if item is not None:
                found[-1][1].append(item)
        return [cls(scheme, Params(tuple(items))) for scheme, items in found]

    def __str__(self) -> str:
        items = ", ".join(n if v is None else f"{n}={v}" for n, v in self.params.items)
        return f"{self.scheme} {items}" if items else self.scheme


class Challenge(_AuthValue):
    """A value of WWW-Authenticate or Proxy-Authenticate."""

    __slots__ = ()


class Credentials(_AuthValue):
    """The value of Authorization or Proxy-Authorization."""

    __slots__ = ()


def _parse_piece(piece: str) -> tuple[str | None, tuple[str, str | None] | None]:
    """The scheme that this piece opens, if any, and the parameter that it holds, if any."""
    before, equals, value = piece.partition("=")
    words = before.split()
    if not words or len(words) > 2 or not is_token(words[0]):
        raise RemoteProtocolError("bad authentication value")
    if len(words) == 1 and not equals:
        return words[0], None
    scheme = words[0] if len(words) == 2 else None
    return scheme, (words[-1], value.strip() if equals else None)
