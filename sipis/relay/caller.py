"""Who calls or writes, as a push may show it.

Refuses to trust: display names are cleaned of everything that could spoof a screen, cut, and
dropped where the caller asked for privacy (RFC 3323).
"""

import unicodedata
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import NameAddr
from sipis.sip.message import Message
from sipis.sip.uri import SipUri

LONGEST_NAME: Final = 128
_HIDDEN: Final = frozenset({"id", "user", "header"})
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories without a glyph: controls, direction marks, lone surrogates, separators."""


def caller_of(message: Message) -> str | None:
    """A name to show, else a number; None for a caller who wants to stay unknown.

    What the provider asserts (RFC 3325) goes before what the caller claims.
    """
    if wants_privacy(message):
        return None
    for address in (*_asserted(message), message.from_):
        shown = clean_name(address.display or "") or clean_name(_number(address))
        if shown:
            return shown
    return None


def wants_privacy(message: Message) -> bool:
    """Whether the caller asked not to be shown."""
    words = (message.headers.get("Privacy") or "").lower().replace(",", ";").split(";")
    anonymous = isinstance(message.from_.uri, SipUri) and message.from_.uri.host.lower().endswith(
        "anonymous.invalid"
    )
    return anonymous or any(word.strip() in _HIDDEN for word in words)


def clean_name(text: str, *, longest: int = LONGEST_NAME) -> str:
    """The text in one line without invisible characters, at most `longest` characters."""
    seen = [_visible(char) for char in text[: 8 * longest]]
    return " ".join("".join(seen).split())[:longest].rstrip()


def _visible(char: str) -> str:
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in _UNSEEN else char


def _asserted(message: Message) -> tuple[NameAddr, ...]:
    try:
        lines = message.headers.get_all("P-Asserted-Identity")
        return tuple(address for line in lines for address in NameAddr.parse_many(line))
    except RemoteProtocolError:
        return ()


def _number(address: NameAddr) -> str:
    if isinstance(address.uri, SipUri):
        return address.uri.unescaped_user or ""
    return address.uri.rest.partition(";")[0]
