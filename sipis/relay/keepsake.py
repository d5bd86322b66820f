"""What a sealed call carries over a restart, written and read.

The INVITE of a call that rings is kept whole, for its transaction at the provider outlives us and
waits for an answer; the two dialogs of one that was answered are kept without anything else.
Refuses INVITEs of connections, which the provider sees die with us, and oversize ones.
"""

from collections.abc import Mapping
from typing import Final

from sipis.sip.dialog import Dialog
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request
from sipis.transport.targets import Target

MOST_KEPT: Final = 16_384
"""Characters of an INVITE that is kept."""

Keepsake = Mapping[str, object]
"""Fit for JSON."""


def of_invite(request: Request, flow: Flow) -> Keepsake | None:
    """For a call that rings; None where a restart could do nothing with it."""
    text = request.to_bytes().decode("utf-8", "surrogateescape")
    if flow.transport is not Transport.UDP or len(text) > MOST_KEPT:
        return None
    return {"invite": text, "origin": _origin_of(flow)}


def of_dialogs(dialogs: Mapping[Door, Dialog], flow: Flow) -> Keepsake:
    """For a call that was answered."""
    kept: dict[str, object] = {side.value: one.to_mapping() for side, one in dialogs.items()}
    return {**kept, "origin": _origin_of(flow)}


def invite_in(keepsake: Keepsake) -> bytes:
    """The INVITE; TypeError or LookupError when there is none."""
    text = keepsake["invite"]
    if not isinstance(text, str):
        raise TypeError("not an INVITE")
    return text.encode("utf-8", "surrogateescape")


def dialog_in(keepsake: Keepsake, side: Door) -> Dialog:
    """The dialog of one side; TypeError, LookupError, ValueError or RemoteProtocolError."""
    stored = keepsake[side.value]
    if not isinstance(stored, dict):
        raise TypeError("not a dialog")
    return Dialog.from_mapping(stored)


def origin_in(keepsake: Keepsake) -> Target:
    """Where the provider's side is; TypeError, LookupError or ValueError."""
    kept = keepsake["origin"]
    if not isinstance(kept, list):
        raise TypeError("not an origin")
    return Target(Transport(kept[0]), str(kept[1]), int(kept[2]))


def _origin_of(flow: Flow) -> list[object]:
    return [flow.transport.value, *flow.remote]
