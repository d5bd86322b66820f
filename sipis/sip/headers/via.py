"""Via: the way back of a response (RFC 3261 section 20.42, RFC 3581).

Reads any version, since a request of another one is owed its 505 along this way; writes SIP/2.0.
Refuses other protocols than SIP.
"""

import re
from typing import Final, NamedTuple, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import (
    format_hostport,
    is_token,
    parse_hostport,
    parse_number,
    split_list,
)
from sipis.sip.params import NO_PARAMS, USUAL, USUAL_VALUE, Params, find_param

_HOP: Final = r"SIP/2\.0/([A-Z]++) ([A-Za-z0-9._\-]++)(?::([1-5][0-9]{0,4}+|[6-9][0-9]{0,3}+))?+"
_USUAL: Final = re.compile(rf"{_HOP}({USUAL})")
"""A hop as most peers write it; whatever matches can be read by Via.parse()."""
_USUAL_BRANCH: Final = re.compile(rf"{_HOP}(?:;branch=({USUAL_VALUE}))?+({USUAL})")


class Via(NamedTuple):
    """One hop: transport in upper case, sent-by host and port, parameters."""

    transport: str
    host: str
    port: int | None = None
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one hop, spaces around slashes and colons allowed; raises RemoteProtocolError."""
        usual = _USUAL.fullmatch(text)
        if usual is not None:
            transport, host, number, params = usual.groups()
            return cls(transport, host, int(number) if number else None, Params.parse(params))
        sent, semicolon, params = text.partition(";")
        transport, sent_by = _parse_sent(sent)
        host, port = parse_hostport(sent_by)
        return cls(transport, host, port, Params.parse(semicolon + params))

    @classmethod
    def parse_many(cls, text: str) -> list[Self]:
        """Read a comma list, topmost first; raises RemoteProtocolError."""
        return [cls.parse(value) for value in split_list(text)]

    @property
    def branch(self) -> str | None:
        """The transaction's branch."""
        return self.params.get("branch") or None

    @property
    def received(self) -> str | None:
        """The source address that the next hop saw; some put IPv6 in brackets (RFC 5118 4.5)."""
        return (self.params.get("received") or "").strip("[]") or None

    @property
    def rport(self) -> int | None:
        """The source port that the next hop saw; None also for the bare request `;rport`."""
        return parse_number(self.params.get("rport") or "", 65535) or None

    @property
    def source(self) -> tuple[str, int] | None:
        """Where the next hop saw this one, host and port; None where it did not say (RFC 3581)."""
        port = self.rport
        return None if port is None else (self.received or self.host, port)

    def with_param(self, name: str, value: str | None = None) -> "Via":
        """A copy with one parameter set."""
        return self._replace(params=self.params.with_(name, value))

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {format_hostport(self.host, self.port)}{self.params}"


def _parse_sent(sent: str) -> tuple[str, str]:
    words = sent.split("/", 2)
    hop = words[-1].split(None, 1)
    if len(words) != 3 or len(hop) != 2:
        raise RemoteProtocolError("Via without transport or host")
    if words[0].strip().upper() != "SIP":
        raise RemoteProtocolError("Via of another protocol")
    if not is_token(hop[0]):
        raise RemoteProtocolError("bad transport in Via")
    return hop[0].upper(), hop[1].rstrip()


def branch_of(text: str) -> str | None:
    """The branch of one hop, which is checked but not taken apart where it is of the usual form.

    Raises RemoteProtocolError whenever Via.parse() does.
    """
    usual = _USUAL_BRANCH.fullmatch(text)
    if usual is None:
        return Via.parse(text).branch
    return usual[4] or find_param(usual[5], "branch") or None
