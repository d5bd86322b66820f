"""A stored message as its app gets it, and as the bytes that are sealed.

Refuses to interpret the body: it comes out as it went in.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Self

from sipis.errors import FieldError
from sipis.relay.content import content_type
from sipis.relay.headers import carried
from sipis.sip.headers import NameAddr
from sipis.sip.message import Request


@dataclass(frozen=True, slots=True)
class Letter:
    """One message; `headers` are those that cross to the app, Content-Type among them."""

    mid: str
    received_at: float
    sender: str = field(repr=False)
    """The From value as the provider sent it, without its tag."""
    recipient: str = field(repr=False)
    content_type: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, request: Request, mid: str, received_at: float) -> Self:
        """The message of a request; RemoteProtocolError (400) when it cannot be carried."""
        return cls(
            mid,
            received_at,
            str(NameAddr(request.from_.display, request.from_.uri)),
            str(request.to.uri),
            content_type(request),
            tuple(carried(request)),
            request.body,
        )

    def to_bytes(self) -> bytes:
        """What is sealed."""
        content = {
            "from": self.sender,
            "to": self.recipient,
            "type": self.content_type,
            "headers": self.headers,
            "body": base64.b64encode(self.body).decode(),
        }
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes, mid: str, received_at: float) -> Self:
        """Read to_bytes(); FieldError when it was written by something else."""
        try:
            content = json.loads(data)
            headers = tuple((str(name), str(value)) for name, value in content["headers"])
            body = base64.b64decode(content["body"])
            sender, recipient, kind = content["from"], content["to"], content["type"]
        except (ValueError, TypeError, KeyError):
            raise FieldError("message", "is not a stored message") from None
        return cls(mid, received_at, sender, recipient, kind, headers, body)
