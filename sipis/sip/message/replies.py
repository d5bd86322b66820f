"""Responses made from the request that they answer (RFC 3261 sections 8.2.6 and 12.1.1)."""

from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.message.model import Request, Response, reason_phrase

_COPIED: Final = frozenset({"via", "from", "to", "call-id", "cseq"})
_DIALOG_FORMING: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


def response_to(
    request: Request, status: int, reason: str | None = None, *, to_tag: str | None = None
) -> Response:
    """A response with the headers that it owes to the request, all lines as they came.

    `to_tag` is added to the To unless it has a tag or the status is 100.
    """
    phrase = reason_phrase(status) if reason is None else reason
    headers = request.headers.only(_copied_keys(request, status))
    if to_tag and status > 100 and _lacks_tag(request):
        headers.set("To", f"{request.headers.get('to')};tag={to_tag}")
    return Response(status, phrase, headers)


def _copied_keys(request: Request, status: int) -> frozenset[str]:
    if status == 100:
        return _COPIED | {"timestamp"}
    if 100 < status < 300 and request.method in _DIALOG_FORMING:
        return _COPIED | {"record-route"}
    return _COPIED


def _lacks_tag(request: Request) -> bool:
    try:
        return request.to_tag is None
    except RemoteProtocolError:
        # A request refused for its broken To gets that To back as it is.
        return False
