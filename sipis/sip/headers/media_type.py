"""Content-Type (RFC 3261 section 20.15)."""

from dataclasses import dataclass
from typing import Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import is_token
from sipis.sip.params import NO_PARAMS, Params


@dataclass(frozen=True, slots=True)
class MediaType:
    """Type and subtype as written, and parameters such as `charset` or `boundary`."""

    type: str
    subtype: str
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `type/subtype;params`; raises RemoteProtocolError."""
        essence, semicolon, params = text.partition(";")
        kind, _, subtype = essence.partition("/")
        kind, subtype = kind.strip(), subtype.strip()
        if not is_token(kind) or not is_token(subtype):
            raise RemoteProtocolError("bad media type")
        return cls(kind, subtype, Params.parse(semicolon + params))

    @property
    def essence(self) -> str:
        """`type/subtype` in lower case, for comparison."""
        return f"{self.type}/{self.subtype}".lower()

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}{self.params}"
