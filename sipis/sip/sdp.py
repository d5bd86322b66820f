"""Session descriptions, read as far as a relay of signalling must (RFC 8866).

Refuses to rewrite media: the one change made here is to take out keys (RFC 4568) that would leave
over an unencrypted leg; every other byte stays.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import parse_number

MAX_LINES: Final = 2048

_CRYPTO_LINE: Final = re.compile(rb"^[ \t]*+a[ \t]*+=[ \t]*+crypto\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` section; `connection` is its own address, None where the session's holds."""

    kind: str
    port: int
    profile: str
    formats: tuple[str, ...]
    connection: str | None = None
    attributes: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether port 0 refuses this medium (RFC 3264 section 6)."""
        return self.port == 0


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """Session address (None when each medium has its own), attributes, and media in order."""

    connection: str | None
    attributes: tuple[str, ...]
    media: tuple[Media, ...]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body of type application/sdp; raises RemoteProtocolError."""
        lines = body.splitlines()
        if not lines or lines[0].strip() != b"v=0":
            raise RemoteProtocolError("not a session description", 488)
        if len(lines) > MAX_LINES:
            raise RemoteProtocolError("session description too long", 488)
        text = [line.decode("utf-8", "surrogateescape") for line in lines]
        session, *sections = _sections(text)
        media = tuple([_parse_media(section) for section in sections])
        return cls(_connection(session), _attributes(session), media)

    @property
    def has_crypto(self) -> bool:
        """Whether a media key stands in clear text (`a=crypto`)."""
        parts = [self.attributes, *[media.attributes for media in self.media]]
        return any(a.lower().startswith("crypto:") for part in parts for a in part)

    @property
    def addresses(self) -> frozenset[str]:
        """All connection addresses."""
        own = [self.connection, *[media.connection for media in self.media]]
        return frozenset(address for address in own if address is not None)


def without_crypto(body: bytes) -> bytes:
    """The body without its `a=crypto` lines, all else byte for byte.

    Works on any text, so that a session description inside a multipart body loses them too.
    """
    if b"crypto" not in body.lower():
        return body
    lines = body.splitlines(keepends=True)
    return b"".join([line for line in lines if not _CRYPTO_LINE.match(line)])


def _sections(lines: list[str]) -> list[list[str]]:
    """The session's lines, then those of each medium."""
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line.rstrip())
    return sections


def _parse_media(section: list[str]) -> Media:
    words = section[0][2:].split()
    if len(words) < 3:
        raise RemoteProtocolError("bad media line", 488)
    port = parse_number(words[1].partition("/")[0], 65535)
    if port is None:
        raise RemoteProtocolError("bad media port", 488)
    return Media(
        words[0],
        port,
        words[2],
        tuple(words[3:]),
        _connection(section),
        _attributes(section),
    )


def _connection(section: list[str]) -> str | None:
    """The address of the first `c=IN IP4 address` line."""
    for line in section:
        if line.startswith("c="):
            words = line[2:].split()
            if len(words) != 3:
                raise RemoteProtocolError("bad connection line", 488)
            return words[2].partition("/")[0]
    return None


def _attributes(section: list[str]) -> tuple[str, ...]:
    return tuple([line[2:] for line in section if line.startswith("a=")])
