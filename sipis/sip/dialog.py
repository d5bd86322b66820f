"""Dialogs: what two user agents remember of each other between requests (RFC 3261 12).

Refuses to send anything and to know transactions: it makes requests, and judges those that came.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.headers import NameAddr
from sipis.sip.message import Message, Request, Response
from sipis.sip.uri import SipUri, Uri, parse_uri

TARGET_REFRESH: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""Methods whose Contact moves the remote target (RFC 3261 12.2, RFC 3311, RFC 6665)."""

FIRST_CSEQ: Final = 1


class DialogState(StrEnum):
    """How far a dialog has come."""

    NEW = "new"
    """No response has a To tag yet; no dialog is ever held in this state."""
    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class DialogInput(StrEnum):
    """What moves a dialog."""

    PROVISIONAL = "1xx"
    """A response of 101-199 with a To tag, received or sent."""
    SUCCESS = "2xx"
    """A 2xx, received or sent."""
    REFUSAL = "3xx-6xx"
    """A final refusal of the request that opened the dialog."""
    END = "end"
    """A BYE, received or sent, or the loss of the peer."""


_S, _I = DialogState, DialogInput

TABLE: Final[dict[tuple[DialogState, DialogInput], DialogState]] = {
    (_S.NEW, _I.PROVISIONAL): _S.EARLY,
    (_S.NEW, _I.SUCCESS): _S.CONFIRMED,
    (_S.EARLY, _I.SUCCESS): _S.CONFIRMED,
    (_S.EARLY, _I.REFUSAL): _S.TERMINATED,
    (_S.EARLY, _I.END): _S.TERMINATED,
    (_S.CONFIRMED, _I.SUCCESS): _S.CONFIRMED,
    (_S.CONFIRMED, _I.END): _S.TERMINATED,
}
"""RFC 3261 12 and 13.2.2; what has no row changes nothing, so that a dialog that ended stays so."""


@dataclass(slots=True)
class Dialog:
    """One dialog, seen from our side.

    A tag is None where a peer of RFC 2543 gave none; a sequence number is None until the side in
    question sent a request. `contact` is our own Contact value, put into target refreshes.
    """

    call_id: str
    local_tag: str | None
    remote_tag: str | None
    local_uri: Uri
    remote_uri: Uri
    remote_target: Uri
    route_set: tuple[NameAddr, ...] = ()
    local_seq: int | None = None
    remote_seq: int | None = None
    state: DialogState = DialogState.EARLY
    secure: bool = False
    contact: str | None = None

    @classmethod
    def uac(cls, request: Request, response: Response, *, secure: bool = False) -> "Dialog":
        """The dialog that a response to our request opens (12.1.2); early unless it is a 2xx.

        `secure` says that the request went over TLS to a SIPS URI. A response without Contact
        leaves the Request-URI as target. Raises RemoteProtocolError on a broken header.
        """
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag,
            remote_tag=response.to.tag,
            local_uri=request.from_.uri,
            remote_uri=request.to.uri,
            remote_target=_contact_of(response) or request.uri,
            route_set=response.record_routes[::-1],
            local_seq=request.cseq.number,
            state=_state_after(response),
            secure=secure,
            contact=request.headers.get("contact"),
        )

    @classmethod
    def uas(
        cls, request: Request, local_tag: str, *, contact: str | None = None, secure: bool = False
    ) -> "Dialog":
        """The early dialog that our tagged response to a request opens (12.1.1).

        Raises RemoteProtocolError, 400 owed, when the request has no Contact.
        """
        target = _contact_of(request)
        if target is None:
            raise RemoteProtocolError("no Contact in a request that opens a dialog")
        return cls(
            call_id=request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_.tag,
            local_uri=request.to.uri,
            remote_uri=request.from_.uri,
            remote_target=target,
            route_set=request.record_routes,
            remote_seq=request.cseq.number,
            secure=secure,
            contact=contact,
        )

    @property
    def id(self) -> tuple[str, str | None, str | None]:
        """Call-ID, local tag, remote tag (12)."""
        return self.call_id, self.local_tag, self.remote_tag

    @property
    def next_hop(self) -> Uri:
        """The URI whose address requests are sent to (8.1.2)."""
        return self.route_set[0].uri if self.route_set else self.remote_target

    def confirm(self, response: Response | None = None) -> None:
        """Leave the early state; a 2xx that came sets routes and target anew (13.2.2.4)."""
        if self._hear(DialogInput.SUCCESS) and response is not None:
            self.route_set = response.record_routes[::-1]
            self.refresh_target(response)

    def refuse(self) -> None:
        """End it if it is early: the request that opened it was refused in the end (12.3)."""
        self._hear(DialogInput.REFUSAL)

    def terminate(self) -> None:
        """End it: no request is made or taken any more (12.3)."""
        self._hear(DialogInput.END)

    def request(
        self, method: str, *, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """The next request of ours, Via excepted (12.2.1.1).

        Raises LocalProtocolError once the dialog has ended, and for CANCEL and ACK.
        """
        if method in ("ACK", "CANCEL"):
            raise LocalProtocolError(f"{method} takes no sequence number of its own")
        if self.state is DialogState.TERMINATED:
            raise LocalProtocolError("request in a dialog that has ended")
        self.local_seq = FIRST_CSEQ if self.local_seq is None else self.local_seq + 1
        extra = list(headers)
        if self.contact is not None and method in TARGET_REFRESH and not _has_contact(extra):
            extra.append(("Contact", self.contact))
        return self._build(method, self.local_seq, extra, body)

    def ack(
        self, cseq: int, *, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """The ACK to the 2xx of our INVITE with that number, Via excepted (13.2.2.4)."""
        return self._build("ACK", cseq, headers, body)

    def matches(self, message: Message) -> bool:
        """Whether a request of the peer, or a response to ours, belongs here.

        Raises RemoteProtocolError on a broken header.
        """
        local, remote = (
            (message.to, message.from_)
            if isinstance(message, Request)
            else (message.from_, message.to)
        )
        return (message.call_id, local.tag, remote.tag) == self.id

    def receive(self, request: Request) -> int | None:
        """Take a request of the peer in order; the status owed where it cannot be taken (12.2.2).

        481 when it belongs elsewhere or the dialog has ended, 500 when it comes out of order.
        """
        if self.state is DialogState.TERMINATED or not self.matches(request):
            return 481
        if request.method in ("ACK", "CANCEL"):
            return None
        number = request.cseq.number
        if self.remote_seq is not None and number <= self.remote_seq:
            return 500
        self.remote_seq = number
        return None

    def refresh_target(self, message: Message) -> None:
        """Follow the peer's new Contact out of a target refresh or the 2xx to one (12.2)."""
        if message.cseq.method not in TARGET_REFRESH:
            return
        if isinstance(message, Response) and not 200 <= message.status < 300:
            return
        self.remote_target = _contact_of(message) or self.remote_target

    def to_mapping(self) -> dict[str, str | int | bool | list[str] | None]:
        """Everything in it as JSON values, for from_mapping()."""
        return {
            "call_id": self.call_id,
            "local_tag": self.local_tag,
            "remote_tag": self.remote_tag,
            "local_uri": str(self.local_uri),
            "remote_uri": str(self.remote_uri),
            "remote_target": str(self.remote_target),
            "route_set": [str(route) for route in self.route_set],
            "local_seq": self.local_seq,
            "remote_seq": self.remote_seq,
            "state": self.state.value,
            "secure": self.secure,
            "contact": self.contact,
        }

    @classmethod
    def from_mapping(cls, stored: Mapping[str, object]) -> "Dialog":
        """The dialog that to_mapping() wrote down."""
        fields = dict(stored)
        for name in ("local_uri", "remote_uri", "remote_target"):
            fields[name] = parse_uri(str(fields[name]))
        routes = fields["route_set"]
        assert isinstance(routes, list)
        fields["route_set"] = tuple(NameAddr.parse(route) for route in routes)
        fields["state"] = DialogState(str(fields["state"]))
        return cls(**fields)  # type: ignore[arg-type]  # the names and types are those written

    def _hear(self, what: DialogInput) -> bool:
        """Follow the table; whether it has a row."""
        state = TABLE.get((self.state, what))
        if state is not None:
            self.state = state
        return state is not None

    def _build(
        self, method: str, cseq: int, extra: Iterable[tuple[str, str]], body: bytes
    ) -> Request:
        uri, routes = self._routing()
        headers = [
            ("Max-Forwards", "70"),
            *([("Route", ", ".join(map(str, routes)))] if routes else []),
            ("From", _tagged(self.local_uri, self.local_tag)),
            ("To", _tagged(self.remote_uri, self.remote_tag)),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            *extra,
        ]
        return Request.build(method, uri, headers, body)

    def _routing(self) -> tuple[Uri, tuple[NameAddr, ...]]:
        """Request-URI and Route: a strict router wants itself in the first, the target last."""
        target = _for_request_line(self.remote_target)
        if not self.route_set or "lr" in _params(self.route_set[0].uri):
            return target, self.route_set
        first, *others = self.route_set
        return _for_request_line(first.uri), (*others, NameAddr(None, self.remote_target))


def _state_after(response: Response) -> DialogState:
    heard = DialogInput.SUCCESS if response.status >= 200 else DialogInput.PROVISIONAL
    return TABLE[DialogState.NEW, heard]


def _contact_of(message: Message) -> Uri | None:
    contacts = message.contacts
    return contacts[0].uri if contacts else None


def _has_contact(headers: Iterable[tuple[str, str]]) -> bool:
    return any(name.lower() in ("contact", "m") for name, _ in headers)


def _tagged(uri: Uri, tag: str | None) -> str:
    return f"<{uri}>" if tag is None else f"<{uri}>;tag={tag}"


def _params(uri: Uri) -> Iterable[str]:
    return [name.lower() for name, _ in uri.params.items] if isinstance(uri, SipUri) else []


def _for_request_line(uri: Uri) -> Uri:
    """Without what a Request-URI must not have (RFC 3261 19.1.1): `method` and headers."""
    if not isinstance(uri, SipUri):
        return uri
    return replace(uri.without_param("method"), headers="")
