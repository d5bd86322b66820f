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
        comment_start = text.find("(")
        if comment_start >= 0:
            comment_end = text.rfind(")")
            text = text[:comment_start] + text[max(comment_end, comment_start) + 1 :]
        number, semicolon, params = text.partition(";")
        seconds = parse_number(number.strip(), MAX_SECONDS)
        if seconds is None:
            raise RemoteProtocolError("Retry-After is not a number of seconds")
        return cls(seconds, Params.parse(semicolon + params))

    @property
    def duration(self) -> int | None:
        """For how many seconds the peer will be reachable after the wait."""
        return parse_number(self.params.get("duration") or "", MAX_SECONDS)

    def __str__(self) -> str:
        return f"{self.seconds}{self.params}"
