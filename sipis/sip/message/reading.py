"""From the bytes of one message to a request or a response (RFC 3261 sections 7, 8.2 and 18.3).

Requests are read strictly, and the error carries the status owed. Responses are read leniently:
a header that is missing or bad shows itself only when asked for. Refuses bare CR, LF and NUL.
"""

import re
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import first_value, is_token, parse_number
from sipis.sip.headers import Via
from sipis.sip.limits import MAX_HEADER_LINE, MAX_HEADERS, MAX_STREAM_MESSAGE
from sipis.sip.message.fields import Headers
from sipis.sip.message.model import VERSION, Request, Response
from sipis.sip.uri import check_uri

_SINGLE: Final = frozenset(
    {"call-id", "content-length", "content-type", "cseq", "expires", "from", "max-forwards", "to"}
)
_OTHER_VERSION: Final = re.compile(r"SIP/[0-9]++\.[0-9]++", re.IGNORECASE)
_HEADER_LINE: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++[ \t]*+:(?:[^\r\n\0]++|\r\n[ \t])*+")
_BARE_NUL: Final = re.compile(r"(?<!\\)\0")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*+))?+", re.IGNORECASE | re.DOTALL)


def parse_message(data: bytes, *, limit: int = MAX_STREAM_MESSAGE) -> Request | Response:
    """Read one datagram or framed message of at most `limit` bytes.

    Raises RemoteProtocolError; its status hint is the response that a request is owed, and 0
    where nothing is owed because the bytes are no request.
    """
    if len(data) > limit:
        raise RemoteProtocolError("message too large", 513)
    start, headers, body = _take_apart(data)
    if start[:4].upper() == "SIP/":
        return _read_response(start, headers, body)
    request = _read_request(start, headers)
    _check(request)
    request.body = _fit(body, headers, owed=400)
    return request


def salvage_request(data: bytes) -> Request | None:
    """The request behind bytes that parse_message refused, if it can be answered at all.

    Its header values may be broken; lines that are no headers are left out, and so are the body and
    parameters of the top Via that cannot be read. None for responses, for ACK, and where no top Via
    tells the way back.
    """
    head, _, _ = data[:MAX_STREAM_MESSAGE].lstrip(b"\r\n").partition(b"\r\n\r\n")
    start, *lines = _rejoin_folds(head.decode("utf-8", "surrogateescape").split("\r\n"))
    method, _, rest = start.partition(" ")
    if method == "ACK" or not is_token(method):
        return None
    sound = [line for line in lines[:MAX_HEADERS] if _is_header(line)]
    request = Request(method, rest, Headers.from_lines(sound))
    return request if _has_way_back(request) else None


def _is_header(line: str) -> bool:
    return len(line) <= MAX_HEADER_LINE and _HEADER_LINE.fullmatch(line) is not None


def _has_way_back(request: Request) -> bool:
    try:
        return bool(request.via.host)
    except RemoteProtocolError:
        return _mend_way_back(request)


def _mend_way_back(request: Request) -> bool:
    """Keep of the top Via what stands before its parameters, if that can be read."""
    sent, _, _ = first_value(request.headers.get("via") or "").partition(";")
    try:
        Via.parse(sent)
    except RemoteProtocolError:
        return False
    request.headers.set_first("Via", sent)
    return True


def _take_apart(data: bytes) -> tuple[str, Headers, bytes]:
    """Start line, headers and all bytes after the empty line."""
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        raise RemoteProtocolError("message without the empty line after its headers")
    text = head.decode("utf-8", "surrogateescape")
    lines = _split_lines(text)
    start = lines.pop(0)
    return start, Headers.from_lines(lines), body


def _split_lines(text: str) -> list[str]:
    """The logical lines, folds left inside them; raises RemoteProtocolError on a limit."""
    lines = text.split("\r\n")
    together = "".join(lines)
    if "\n" in together or "\r" in together:
        raise RemoteProtocolError("bare line break in the headers")
    if "\0" in text and _BARE_NUL.search(text):
        raise RemoteProtocolError("bare NUL in the headers")
    # A tab is rare enough to be looked for alone, which is much cheaper.
    if "\r\n " in text or ("\t" in text and "\r\n\t" in text):
        lines = _rejoin_folds(lines)
    if len(lines) > MAX_HEADERS + 1:
        raise RemoteProtocolError("too many headers")
    if len(text) > MAX_HEADER_LINE and max(map(len, lines)) > MAX_HEADER_LINE:
        raise RemoteProtocolError("header line too long")
    return lines


def _rejoin_folds(lines: list[str]) -> list[str]:
    logical: list[list[str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and len(logical) > 1:
            logical[-1].append(line)
        else:
            logical.append([line])
    return ["\r\n".join(parts) for parts in logical]


def _read_request(start: str, headers: Headers) -> Request:
    words = start.split(" ")
    if len(words) != 3:
        raise RemoteProtocolError("request line is not method, URI and version")
    method, uri_text, version = words
    if version != VERSION and version.upper() != VERSION:
        other = _OTHER_VERSION.fullmatch(version)
        raise RemoteProtocolError("not SIP/2.0", 505 if other else 400)
    return Request(method, uri_text, headers)


def _read_response(start: str, headers: Headers, body: bytes) -> Response:
    line = _STATUS_LINE.fullmatch(start)
    if line is None:
        raise RemoteProtocolError("bad status line", 0)
    return Response(int(line[1]), line[2] or "", headers, _fit(body, headers, owed=0))


def _check(request: Request) -> None:
    """Raise RemoteProtocolError unless the headers that every request needs are sound."""
    if repeated := request.headers.repeated(_SINGLE):
        raise RemoteProtocolError(f"more than one {min(repeated)} header")
    # The method of a CSeq is a token, so that one equal to it needs no further look.
    if request.cseq.method != request.method:
        raise RemoteProtocolError("CSeq of another method")
    # Reading is the check: each of these raises when missing or malformed.
    _ = request.branch, request.from_tag, request.to_tag, request.call_id, request.max_forwards
    check_uri(request.uri_text)


def _fit(body: bytes, headers: Headers, *, owed: int) -> bytes:
    """The body cut to its Content-Length; raises RemoteProtocolError when it falls short."""
    text = headers.first("content-length")
    if text is None:
        return body
    length = parse_number(text, MAX_STREAM_MESSAGE)
    if length is None or length > len(body):
        raise RemoteProtocolError("body shorter than Content-Length", owed)
    return body[:length] if length < len(body) else body
