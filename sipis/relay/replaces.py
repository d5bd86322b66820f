"""Names of dialogs inside headers: Replaces (RFC 3891), alone or within Refer-To (RFC 3515).

A dialog of ours has one name on each leg, so a name that crosses is put into the other leg's words;
a name that is not ours crosses as it is.
Refuses to invent: what cannot be read is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import quote, unquote

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import NameAddr
from sipis.sip.params import Params
from sipis.sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class DialogName:
    """A dialog as Replaces names it: the tags as seen by whoever is to be replaced."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read a Replaces value; raises RemoteProtocolError."""
        call_id, semicolon, rest = value.partition(";")
        params = Params.parse(semicolon + rest)
        to_tag, from_tag = params.get("to-tag"), params.get("from-tag")
        if not call_id.strip() or not to_tag or not from_tag:
            raise RemoteProtocolError("bad Replaces")
        return cls(call_id.strip(), to_tag, from_tag, "early-only" in params)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


Lookup = Callable[[DialogName], DialogName | None]
"""The name that a dialog has on the other leg; None for a dialog that is not ours."""


def translated_refer(refer_to: str, lookup: Lookup) -> str:
    """A Refer-To value with the dialog that it replaces named as the other side knows it."""
    try:
        address = NameAddr.parse(refer_to)
        if not isinstance(address.uri, SipUri) or not address.uri.headers:
            return refer_to
        headers = [_translated(pair, lookup) for pair in address.uri.headers.split("&")]
    except RemoteProtocolError:
        return refer_to
    return str(replace(address, uri=replace(address.uri, headers="&".join(headers))))


def _translated(pair: str, lookup: Lookup) -> str:
    name, _, value = pair.partition("=")
    if name.lower() != "replaces":
        return pair
    ours = lookup(DialogName.parse(unquote(value)))
    return pair if ours is None else f"{name}={quote(str(ours), safe='')}"
