"""Requests that are too large for UDP, until it is known which way they go (RFC 3261 18.1.1).

One that took a stream instead is kept until it is answered, so that it can still take its own flow
when the stream is refused. Refuses to choose: the owner of the stack knows who can be connected to.
"""

from dataclasses import dataclass

from sipis.sip.flow import Flow
from sipis.sip.message import Request


@dataclass(frozen=True, slots=True)
class Draft:
    """A request with the flow that it was meant for, and what its Via says there.

    `invite` is the transaction that an ACK belongs to; every other request has none.
    """

    request: Request
    flow: Flow
    branch: str
    host: str
    port: int | None
    rport: bool
    invite: str | None = None


class Drafts:
    """What waits for a way, and what has left another way and is unanswered; by transaction."""

    def __init__(self, largest: int | None) -> None:
        """`largest` is in bytes; without it nothing is too large."""
        self._largest = largest
        self._waiting: dict[str, Draft] = {}
        self._out: dict[str, Draft] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def too_large(self, wire: bytes | None, flow: Flow) -> bool:
        """Whether a request of this text must not simply leave over the flow."""
        if self._largest is None or wire is None or len(wire) <= self._largest:
            return False
        return not flow.transport.reliable

    def keep(self, id_: str, draft: Draft) -> None:
        """Put a request off."""
        self._waiting[id_] = draft

    def take(self, id_: str) -> Draft | None:
        """The request that was put off; None once it has left or was given up."""
        return self._waiting.pop(id_, None)

    def send_out(self, id_: str) -> Draft | None:
        """The same, remembered as sent over a stream; an ACK has no answer to wait for."""
        draft = self.take(id_)
        if draft is not None and draft.invite is None:
            self._out[id_] = draft
        return draft

    def sent_out(self, id_: str) -> Draft | None:
        """What was sent over a stream and is not settled."""
        return self._out.get(id_)

    def settle(self, id_: str) -> None:
        """The transaction is over."""
        self._out.pop(id_, None)
