"""How messages find their transactions: every matching rule of RFC 3261 17 as one line of text.

Two messages belong together when their keys are equal. Parts are joined by a line break, which no
header value can hold. Refuses to look anything up.
"""

from typing import Final

from sipis.sip.message import Request, Response

MAGIC_COOKIE: Final = "z9hG4bK"
"""How a branch begins that is unique by construction (RFC 3261 8.1.1.7)."""


def client_key(branch: str, method: str) -> str:
    """The id of a client transaction (RFC 3261 17.1.3)."""
    return f"{branch} {method}"


def response_key(response: Response) -> str:
    """The id of the client transaction that a response is for; raises RemoteProtocolError."""
    return client_key(response.branch or "", response.cseq.method)


def server_key(request: Request) -> str:
    """The id of the server transaction of a request (RFC 3261 17.2.3).

    ACK and CANCEL get the id of the INVITE that they are about (9.2). Raises RemoteProtocolError.
    """
    via = request.via
    branch = via.branch
    if branch is None or not branch.startswith(MAGIC_COOKIE) or branch == MAGIC_COOKIE:
        return _server_key_by_headers(request)
    return f"{_matched_method(request)}\n{branch}\n{via.host.lower()}\n{via.port}"


def merge_key(request: Request, instance: str) -> str:
    """Equal for the copies of one request that came on several ways (RFC 3261 8.2.2.2).

    Copies for different instances are not the same: a proxy forks one AoR to all of them.
    """
    cseq = request.cseq
    tag = request.from_tag
    return f"{request.call_id}\n{tag}\n{cseq.number}\n{cseq.method}\n{instance}"


def ack_key(message: Request | Response) -> str:
    """Equal for a 2xx to INVITE of ours and its ACK, whatever their branches (RFC 3261 13.2.2.4).

    Raises RemoteProtocolError.
    """
    return f"{message.call_id}\n{message.to_tag}\n{message.cseq.number}"


def _matched_method(request: Request) -> str:
    return "INVITE" if request.method in ("ACK", "CANCEL") else request.method


def _server_key_by_headers(request: Request) -> str:
    """The rule for peers of RFC 2543, whose branches prove nothing.

    The To tag is left out for INVITE: its ACK has the one that we gave, checked by the server.
    """
    via = request.via
    method = _matched_method(request)
    parts = [
        method,
        request.uri_text,
        request.from_tag,
        request.call_id,
        request.cseq.number,
        None if method == "INVITE" else request.to_tag,
        via.transport,
        via.host.lower(),
        via.port,
        via.branch,
    ]
    return "\n".join(map(str, parts))
