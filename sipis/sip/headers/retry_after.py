"""Retry-After (RFC 3261 section 20.33)."""

from dataclasses import dataclass
from typing import Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import parse_number
from sipis.sip.limits import MAX_SECONDS
from sipis.sip.params import NO_PARAMS, Params


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Seconds to wait, and parameters; the free comment is not kept."""

    seconds: int
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `18000 (in a meeting);duration=3600`; raises RemoteProtocolError."""
        number, rest = _split_at_number(text.strip())
        seconds = parse_number(number, MAX_SECONDS)
        if seconds is None:
            raise RemoteProtocolError("Retry-After is not a number of seconds")
        return cls(seconds, Params.parse(_without_comment(rest)))

    def __str__(self) -> str:
        return f"{self.seconds}{self.params}"


def _split_at_number(text: str) -> tuple[str, str]:
    rest = text.lstrip("0123456789")
    return text[: len(text) - len(rest)], rest.lstrip()


def _without_comment(text: str) -> str:
    """The text after a comment that opens it; comments nest, so that the last bracket ends it."""
    if not text.startswith("("):
        return text
    _, bracket, rest = text.rpartition(")")
    if not bracket:
        raise RemoteProtocolError("open comment in Retry-After")
    return rest.lstrip()
