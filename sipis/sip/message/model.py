"""Requests and responses over raw headers (RFC 3261 sections 7 and 20).

A header parses when first asked for and raises RemoteProtocolError, 400 owed, when its syntax is
bad or when it is mandatory and missing. Refuses to answer for headers that it does not name:
those are read as text through `headers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final, Self

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.grammar import first_value, is_token, parse_number
from sipis.sip.headers import CSeq, MediaType, NameAddr, RetryAfter, Via, branch_of, tag_of
from sipis.sip.limits import MAX_SECONDS
from sipis.sip.message.fields import Headers
from sipis.sip.message.parts import Every, IfPresent, Mandatory
from sipis.sip.message.reasons import REASONS
from sipis.sip.uri import Uri, parse_uri

VERSION: Final = "SIP/2.0"


def _parse_top_via(text: str) -> Via:
    return Via.parse(first_value(text))


def _top_branch(text: str) -> str | None:
    return branch_of(first_value(text))


def _top_source(text: str) -> tuple[str, int] | None:
    return _parse_top_via(text).source


def _parse_max_forwards(text: str) -> int:
    hops = parse_number(text, 255)
    if hops is None:
        raise RemoteProtocolError("Max-Forwards is not between 0 and 255")
    return hops


def _parse_seconds(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    seconds = parse_number(text, MAX_SECONDS)
    return MAX_SECONDS if seconds is None else seconds


def _check_call_id(text: str) -> str:
    if not text or " " in text:
        raise RemoteProtocolError("bad Call-ID")
    return text


class Message(ABC):
    """What requests and responses share: headers and a body of bytes."""

    __slots__ = ("body", "headers")

    vias = Every("via", Via.parse)
    """All hops, topmost first."""

    via = Mandatory("via", _parse_top_via)
    """The topmost hop; the others stay unread."""

    branch = Mandatory("via", _top_branch)
    """The branch of the topmost hop; cheaper than via, and raises whenever that does."""

    source = Mandatory("via", _top_source)
    """Where the peer of the topmost hop saw it: host and port; None where it did not say."""

    from_ = Mandatory("from", NameAddr.parse)
    """Who sent the request."""

    to = Mandatory("to", NameAddr.parse)
    """Whom the request was first meant for."""

    from_tag = Mandatory("from", tag_of)
    """The tag of From; cheaper than from_, and raises whenever that does."""

    to_tag = Mandatory("to", tag_of)
    """The tag of To; cheaper than to, and raises whenever that does."""

    call_id = Mandatory("call-id", _check_call_id)
    """The Call-ID, compared octet by octet."""

    cseq = Mandatory("cseq", CSeq.parse)
    """Sequence number and method."""

    max_forwards = IfPresent("max-forwards", _parse_max_forwards)
    """Hops left; None when absent."""

    expires = IfPresent("expires", _parse_seconds)
    """Seconds of the Expires header; None when absent or unreadable (section 20.19)."""

    min_expires = IfPresent("min-expires", _parse_seconds)
    """Seconds of the Min-Expires header; None when absent or unreadable."""

    retry_after = IfPresent("retry-after", RetryAfter.parse)
    """After how long to try again; None when absent."""

    content_type = IfPresent("content-type", MediaType.parse)
    """What the body is; None when absent."""

    routes = Every("route", NameAddr.parse)
    """All Route addresses, topmost first."""

    record_routes = Every("record-route", NameAddr.parse)
    """All Record-Route addresses, topmost first."""

    paths = Every("path", NameAddr.parse)
    """All Path addresses, topmost first (RFC 3327)."""

    _contacts = Every("contact", NameAddr.parse)

    def __init__(self, headers: Headers, body: bytes) -> None:
        self.headers = headers
        self.body = body

    @property
    def is_star_contact(self) -> bool:
        """Whether the Contact is `*`: all bindings of an AoR (section 10.2.2)."""
        return self.headers.get("contact") == "*"

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """All Contact addresses; none for `*`."""
        return () if self.is_star_contact else self._contacts

    @property
    def supported(self) -> set[str]:
        """Option tags of Supported, lower-case."""
        return {tag.lower() for tag in self.headers.get_list("supported")}

    @property
    def require(self) -> set[str]:
        """Option tags of Require, lower-case."""
        return {tag.lower() for tag in self.headers.get_list("require")}

    @abstractmethod
    def start_line(self) -> str:
        """The first line, without CRLF."""

    def to_bytes(self, *above: str) -> bytes:
        """The message as it goes on the wire; Content-Length is made to fit the body.

        `above` are lines that leave above all headers. Raises LocalProtocolError when a header
        that we wrote cannot be encoded.
        """
        length = str(len(self.body))
        headers = self.headers
        if headers.get_all("content-length") != [length]:
            headers = headers.copy()
            headers.set("Content-Length", length)
        head = "\r\n".join([self.start_line(), *above, *headers.lines(), "\r\n"])
        try:
            return head.encode("utf-8", "surrogateescape") + self.body
        except UnicodeEncodeError as error:
            raise LocalProtocolError("header text that is no UTF-8") from error


class Request(Message):
    """A request; `uri_text` is the Request-URI as written."""

    __slots__ = ("_uri", "method", "uri_text")

    def __init__(self, method: str, uri_text: str, headers: Headers, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri_text = uri_text
        self._uri: Uri | None = None

    @classmethod
    def build(
        cls,
        method: str,
        uri: Uri | str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Self:
        """Make a request of ours; raises LocalProtocolError on a bad method, URI or header."""
        uri_text = str(uri)
        if not is_token(method) or not uri_text or set(uri_text) & set(" \t\r\n\0"):
            raise LocalProtocolError("method or Request-URI cannot stand in a request line")
        return cls(method, uri_text, Headers(headers), body)

    @classmethod
    def written(cls, method: str, uri_text: str, lines: Sequence[str]) -> Self:
        """Make a request of ours from whole header lines, of which only the values may be foreign.

        All lines are checked at once, which is cheaper than build(). Raises LocalProtocolError.
        """
        together = "".join(lines)
        if "\n" in together or "\r" in together or "\0" in together:
            raise LocalProtocolError("line break or NUL in a header line")
        return cls(method, uri_text, Headers.from_lines(lines))

    @property
    def uri(self) -> Uri:
        """The Request-URI; raises RemoteProtocolError."""
        if self._uri is None:
            self._uri = parse_uri(self.uri_text)
        return self._uri

    def start_line(self) -> str:
        """`METHOD uri SIP/2.0`."""
        return f"{self.method} {self.uri_text} {VERSION}"


class Response(Message):
    """A response; `reason` is the phrase as written."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self.status = status
        self.reason = reason

    @classmethod
    def build(
        cls,
        status: int,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Self:
        """Make a response of ours; raises LocalProtocolError on a bad status, phrase or header."""
        phrase = reason_phrase(status) if reason is None else reason
        if not 100 <= status <= 699 or set(phrase) & set("\r\n\0"):
            raise LocalProtocolError("status or phrase cannot stand in a status line")
        return cls(status, phrase, Headers(headers), body)

    def start_line(self) -> str:
        """`SIP/2.0 status reason`."""
        return f"{VERSION} {self.status} {self.reason}"


def reason_phrase(status: int) -> str:
    """The usual phrase, that of the class for a status nobody registered."""
    return REASONS.get(status) or REASONS.get(status // 100 * 100, "Unknown")
