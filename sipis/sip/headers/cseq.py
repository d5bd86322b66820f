"""CSeq: the place of a request in its dialog (RFC 3261 section 20.16)."""

import re
from typing import Final, NamedTuple, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import is_token, parse_number
from sipis.sip.limits import MAX_CSEQ

_USUAL: Final = re.compile(r"([0-9]{1,9}+) ([A-Z]++)")


class CSeq(NamedTuple):
    """A sequence number below 2^31 and the method, whose case matters."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `4711 INVITE`; raises RemoteProtocolError."""
        usual = _USUAL.fullmatch(text)
        if usual is not None:
            number, method = usual.groups()
            return cls(int(number), method)
        words = text.split()
        if len(words) != 2 or not is_token(words[1]):
            raise RemoteProtocolError("CSeq is not a number and a method")
        value = parse_number(words[0], MAX_CSEQ)
        if value is None:
            raise RemoteProtocolError("CSeq number is not below 2^31")
        return cls(value, words[1])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
