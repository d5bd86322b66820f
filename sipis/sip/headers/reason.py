"""Reason: why a request was sent (RFC 3326)."""

from dataclasses import dataclass
from typing import Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import is_token, parse_number, quote, split_list
from sipis.sip.params import Params


@dataclass(frozen=True, slots=True)
class Reason:
    """The protocol (`SIP`, `Q.850`), its cause code and a text for people."""

    protocol: str
    cause: int | None = None
    text: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one reason; further parameters are not kept; raises RemoteProtocolError."""
        protocol, semicolon, rest = text.partition(";")
        protocol = protocol.strip()
        if not is_token(protocol):
            raise RemoteProtocolError("bad protocol in Reason")
        params = Params.parse(semicolon + rest)
        return cls(protocol, parse_number(params.get("cause") or "", 999), params.get("text"))

    @classmethod
    def parse_many(cls, text: str) -> list[Self]:
        """Read a comma list; raises RemoteProtocolError."""
        return [cls.parse(value) for value in split_list(text)]

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = "" if self.text is None else f";text={quote(self.text)}"
        return f"{self.protocol}{cause}{text}"
