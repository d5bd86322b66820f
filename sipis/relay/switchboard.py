"""All running calls, found by dialog, by INVITE, by instance and UUID.

A request inside a dialog is matched by Call-ID and both tags, wherever it comes from: without
Record-Route the ACK and BYE of a caller come straight from its phone. Our own tags have 128 random
bits, so that nobody guesses one.
Refuses more calls than MOST_CALLS, and more than MOST_PER_INSTANCE of one phone.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.relay.bridge import Bridge
from sipis.relay.passage import OTHER
from sipis.relay.replaces import DialogName
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived
from sipis.sip.flow import Door

MOST_CALLS: Final = 20_000
MOST_PER_INSTANCE: Final = 8

Name = tuple[str, str]


class Switchboard:
    """Which call a message belongs to."""

    def __init__(self, most: int = MOST_CALLS) -> None:
        self._most = most
        self._by_name: dict[Name, tuple[Bridge, Door]] = {}
        self._names: dict[Bridge, list[Name]] = {}
        self._by_invite: dict[str, Bridge] = {}
        self._by_uuid: dict[tuple[int, str], Bridge] = {}
        self._of_instance: dict[int, set[Bridge]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Bridge]:
        return iter(tuple(self._names))

    @property
    def full(self) -> bool:
        """Whether no further call can be taken."""
        return len(self._names) >= self._most

    def busy(self, n: int) -> bool:
        """Whether an instance has as many calls as one phone can hold."""
        return len(self._of_instance.get(n, ())) >= MOST_PER_INSTANCE

    def add(self, bridge: Bridge) -> None:
        """A call begins; a later one of the same UUID is the one that is asked about."""
        self._names.setdefault(bridge, [])
        self._by_uuid[bridge.n, bridge.uuid] = bridge
        self._of_instance.setdefault(bridge.n, set()).add(bridge)
        if bridge.invite is not None:
            self._by_invite[bridge.invite] = bridge

    def enter(self, name: Name, bridge: Bridge, side: Door) -> None:
        """Requests with this Call-ID and To tag are for that side of the call."""
        self._by_name[name] = (bridge, side)
        self._names.setdefault(bridge, []).append(name)

    def leave(self, bridge: Bridge) -> None:
        """The call is over."""
        for name in self._names.pop(bridge, ()):
            self._by_name.pop(name, None)
        if bridge.invite is not None:
            self._by_invite.pop(bridge.invite, None)
        if self._by_uuid.get((bridge.n, bridge.uuid)) is bridge:
            del self._by_uuid[bridge.n, bridge.uuid]
        others = self._of_instance.get(bridge.n, set())
        others.discard(bridge)
        if not others:
            self._of_instance.pop(bridge.n, None)

    def find(self, n: int, uuid: str) -> Bridge | None:
        """A running call of an instance."""
        return self._by_uuid.get((n, uuid.lower()))

    def of_instance(self, n: int) -> list[Bridge]:
        """The running calls of an instance."""
        return list(self._of_instance.get(n, ()))

    def take(self, event: RequestReceived) -> bool:
        """Hand a request inside a dialog to its call; False when there is none."""
        request = event.request
        try:
            found = self._by_name.get((request.call_id, request.to.tag or ""))
        except RemoteProtocolError:
            return False
        if found is None or found[1] is not event.flow.door:
            return False
        found[0].take(found[1], event)
        return True

    def cancelled(self, event: CancelReceived) -> bool:
        """Hand a CANCEL to its call; False when there is none."""
        bridge = self._by_invite.get(event.transaction)
        if bridge is not None:
            bridge.cancelled(event)
            return True
        # The CANCEL of an INVITE inside a call: its To tag names the dialog.
        found = self._by_name.get((event.request.call_id, event.request.to.tag or ""))
        if found is not None:
            found[0].cancelled(event)
        return found is not None

    def ack_missing(self, event: AckMissing) -> None:
        """Tell the call whose final response was never acknowledged."""
        bridge = self._by_invite.get(event.transaction)
        for one in (bridge,) if bridge is not None else tuple(self._names):
            one.ack_missing(event.transaction)

    def across(self, name: DialogName) -> DialogName | None:
        """The name of a dialog of ours on its other leg; None for one that is not ours."""
        for local, remote in ((name.to_tag, name.from_tag), (name.from_tag, name.to_tag)):
            found = self._by_name.get((name.call_id, local))
            if found is None:
                continue
            bridge, side = found
            dialogs = bridge.dialogs
            ours, theirs = dialogs.get(side), dialogs.get(OTHER[side])
            if ours is None or theirs is None or ours.remote_tag != remote:
                return None
            tags = (theirs.remote_tag or "", theirs.local_tag or "")
            to_tag, from_tag = tags if local == name.to_tag else tags[::-1]
            return replace(name, call_id=theirs.call_id, to_tag=to_tag, from_tag=from_tag)
        return None
