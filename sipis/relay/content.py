"""What a MESSAGE carries, as far as deciding whether to store and push it goes.

Refuses to decode: a body is opaque and stays so (RFC 3428); only its type is looked at, and of
CPIM (RFC 3862) the header lines.
"""

import re
from enum import Enum, auto
from typing import Final

from sipis.sip.message import Message

COMPOSING: Final = "application/im-iscomposing+xml"
RECEIPT: Final = "message/imdn+xml"
CPIM: Final = "message/cpim"
LONGEST_PREVIEW: Final = 1024
_HEAD: Final = 8 * 1024

_IMDN_ID: Final = re.compile(rb"^imdn\.message-id[ \t]*:[ \t]*([^\r\n]{1,256})", re.I | re.M)


class Treatment(Enum):
    """What becomes of a message."""

    DROP = auto()
    """Answered and forgotten: "is composing" (RFC 3994) is worth nothing to a sleeping phone."""
    STORE = auto()
    """Kept for the app, but nobody is woken for it: delivery reports (RFC 5438)."""
    PUSH = auto()


def treatment(message: Message) -> Treatment:
    """What becomes of a MESSAGE of this content."""
    kinds = _kinds(message)
    if COMPOSING in kinds:
        return Treatment.DROP
    return Treatment.STORE if RECEIPT in kinds else Treatment.PUSH


def content_type(message: Message) -> str:
    """The Content-Type as written; plain text where none is."""
    return message.headers.get("Content-Type") or "text/plain"


def message_id(message: Message) -> str | None:
    """The imdn.Message-ID, which stays the same when a provider sends a message again."""
    if bare_type(content_type(message)) != CPIM:
        return None
    found = _IMDN_ID.search(message.body[:_HEAD])
    return None if found is None else found[1].strip().decode("utf-8", "replace")


def preview(message: Message) -> str | None:
    """The text, if it is plain text that a push may show."""
    if bare_type(content_type(message)) != "text/plain":
        return None
    return message.body[: 4 * LONGEST_PREVIEW].decode("utf-8", "replace")[:LONGEST_PREVIEW]


def bare_type(content: str) -> str:
    """A media type in lower case without its parameters."""
    return content.partition(";")[0].strip().lower()


def _kinds(message: Message) -> set[str]:
    """The type of the body and, inside CPIM, that of what it wraps."""
    own = bare_type(content_type(message))
    if own != CPIM:
        return {own}
    lines = message.body[:_HEAD].decode("utf-8", "replace").splitlines()
    wrapped = [line.partition(":")[2] for line in lines if line.lower().startswith("content-type:")]
    return {own, *(bare_type(content) for content in wrapped[:1])}
