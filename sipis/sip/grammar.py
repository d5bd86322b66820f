"""Small linear scanners shared by the header types (RFC 3261 section 25).

Every pattern is possessive or a single character class, so that no input makes it backtrack.
Refuses to know any header: what a value means is told by the type that reads it.
"""

import re
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.limits import MAX_PARAMS, MAX_VALUES

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++")
_HOST: Final = re.compile(r"[A-Za-z0-9._\-]++")
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]++")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_ESCAPE: Final = re.compile(r'["\\\0]')
_QUOTED_TEXT: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_QUOTED: Final = re.compile(_QUOTED_TEXT, re.DOTALL)
_VALUE: Final = re.compile(rf'(?:[^",<]++|{_QUOTED_TEXT}|<[^>]*+>)*+', re.DOTALL)
_PIECE: Final = re.compile(rf'(?:[^";]++|{_QUOTED_TEXT})*+', re.DOTALL)
_OPENERS: Final = ('"', "<")


def is_token(text: str) -> bool:
    """Whether the text is a `token`."""
    return _TOKEN.fullmatch(text) is not None


def parse_number(text: str, largest: int) -> int | None:
    """The unsigned decimal number, or None when it is none or larger than `largest`."""
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 10:
        text = text.lstrip("0") or "0"
        if len(text) > 10:
            return None
    number = int(text)
    return number if number <= largest else None


def quote(text: str) -> str:
    """The text as a quoted-string."""
    if _NEEDS_ESCAPE.search(text):
        text = _NEEDS_ESCAPE.sub(r"\\\g<0>", text)
    return f'"{text}"'


def unquote(text: str) -> str:
    """The meaning of a quoted-string; other text stays as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _ESCAPE.sub(r"\1", inner) if "\\" in inner else inner


def quoted_end(text: str) -> int:
    """Where the quoted-string that opens the text ends (exclusive); raises RemoteProtocolError."""
    match = _QUOTED.match(text)
    if match is None:
        raise RemoteProtocolError("unterminated quoted string")
    return match.end()


def split_list(text: str) -> list[str]:
    """The values between commas outside quotes and angle brackets; empty ones are dropped.

    Raises RemoteProtocolError on an open quote or bracket and on more than MAX_VALUES values.
    """
    pieces = (
        text.split(",") if '"' not in text and "<" not in text else _split(text, _VALUE, MAX_VALUES)
    )
    if len(pieces) > MAX_VALUES:
        raise RemoteProtocolError("too many values in one header")
    return [value for piece in pieces if (value := piece.strip())]


def first_value(text: str) -> str:
    """The first value of a comma list, the rest unread."""
    if "," not in text:
        return text
    return text[: _end(_VALUE, text, 0)].strip()


def split_params(text: str) -> list[str]:
    """The pieces between semicolons outside quotes, unstripped; raises RemoteProtocolError.

    What stands before the first semicolon is a piece too. Beyond one more than MAX_PARAMS
    parameters the rest is left unread.
    """
    return text.split(";") if '"' not in text else _split(text, _PIECE, MAX_PARAMS + 1)


def _split(text: str, pattern: re.Pattern[str], most: int) -> list[str]:
    """The pieces, and the rest unread once there are more than `most`."""
    pieces: list[str] = []
    start = 0
    while start <= len(text) and len(pieces) <= most:
        end = _end(pattern, text, start)
        if text.startswith(_OPENERS, end):
            raise RemoteProtocolError("unbalanced quote or angle bracket")
        pieces.append(text[start:end])
        start = end + 1
    return pieces


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a piece ends that starts here; the patterns of pieces match the empty text too."""
    match = pattern.match(text, start)
    assert match is not None
    return match.end()


def parse_hostport(text: str) -> tuple[str, int | None]:
    """Host (IPv6 without brackets) and port of `hostport`; raises RemoteProtocolError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host):
            raise RemoteProtocolError("bad IPv6 reference")
        gap, colon, port = rest.partition(":")
        if gap.strip():
            raise RemoteProtocolError("text after an IPv6 reference")
    else:
        host, colon, port = text.partition(":")
        host = host.rstrip()
        if not _HOST.fullmatch(host):
            raise RemoteProtocolError("bad host")
    return host, parse_port(port.strip()) if colon else None


def parse_port(text: str) -> int:
    """A port between 1 and 65535; raises RemoteProtocolError."""
    port = parse_number(text, 65535)
    if not port:
        raise RemoteProtocolError("port outside 1-65535")
    return port


def format_hostport(host: str, port: int | None) -> str:
    """`host[:port]` with brackets around an IPv6 address."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"
