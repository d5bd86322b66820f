"""What belongs to one hop: Via values, and the requests that follow an INVITE on its very way.

Refuses to choose an address: host and port are arguments.
"""

from collections.abc import Iterable

from sipis.sip.flow import Flow, Transport
from sipis.sip.grammar import format_hostport
from sipis.sip.message import Request, Response


def via_value(
    transport: Transport, host: str, port: int | None, branch: str, *, rport: bool
) -> str:
    """The value of our Via; `rport` asks the peer to note our source port (RFC 3581 3)."""
    sent_by = format_hostport(host, port)
    asked = ";rport" if rport else ""
    return f"SIP/2.0/{transport.via_token} {sent_by};branch={branch}{asked}"


def with_via(request: Request, via: str) -> bytes:
    """The request as it leaves, with one more Via on top; the request itself stays as it is."""
    return request.to_bytes(f"Via: {via}")


def note_source(request: Request, flow: Flow) -> None:
    """Put `received` and `rport` into the top Via where they are owed (RFC 3261 18.2.1, RFC 3581).

    Raises RemoteProtocolError when the Via cannot be read.
    """
    via = request.via
    host, port = flow.remote
    wants_port = "rport" in via.params
    if via.host == host and not wants_port:
        return
    via = via.with_param("received", host.partition("%")[0])
    if wants_port:
        via = via.with_param("rport", str(port))
    request.headers.set_first("Via", str(via))


def ack_to_refusal(invite: Request, response: Response) -> Request:
    """The ACK to a final response of 300-699, Via excepted (RFC 3261 17.1.1.3)."""
    return _same_hop(invite, "ACK", response.headers.get("to"))


def cancel_of(invite: Request, headers: Iterable[tuple[str, str]] = ()) -> Request:
    """The CANCEL of an INVITE, Via excepted, with further headers such as Reason (RFC 3261 9.1)."""
    cancel = _same_hop(invite, "CANCEL", invite.headers.get("to"))
    for name, value in headers:
        cancel.headers.add(name, value)
    return cancel


def _same_hop(invite: Request, method: str, to: str | None) -> Request:
    """A request that must take the way of the INVITE and be recognised by what it shares."""
    headers = [
        ("Max-Forwards", "70"),
        *(("Route", route) for route in invite.headers.get_all("route")),
        ("From", invite.headers.get("from") or ""),
        ("To", to or invite.headers.get("to") or ""),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq.number} {method}"),
    ]
    return Request.build(method, invite.uri_text, headers)
