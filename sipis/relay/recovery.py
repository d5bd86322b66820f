"""After a start: calls that the last process left behind are ended or taken up again.

A call that only rang is gone with its INVITE: its phone is told, and an INVITE that the provider
repeats rings under the same UUID. A call that was answered goes on, for both ends still hold their
dialogs.
Refuses to guess: what cannot be read is ended.
"""

from typing import Final

from sipis.errors import RemoteProtocolError, TransportError
from sipis.model import CallState, PushEvent
from sipis.relay.bridge import Bridge, Services
from sipis.relay.finding import Found
from sipis.relay.ledger import CallView, Dialogs
from sipis.relay.reception import Reception
from sipis.relay.switchboard import Switchboard
from sipis.relay.waker import Tidings, Waker
from sipis.sip.dialog import Dialog
from sipis.sip.flow import Door, Flow, Transport
from sipis.transport.targets import Target

RESUMED_SEQ: Final = 1000
"""Added to our CSeq: the numbers used since the call was written down are lost."""
GONE: Final = 0
"""The id of a flow that is not open any more."""
_NOWHERE: Final = ("", 0)


class Recovery:
    """Works once, at the start."""

    def __init__(
        self,
        *,
        services: Services,
        switchboard: Switchboard,
        reception: Reception,
        waker: Waker,
    ) -> None:
        self._services = services
        self._switchboard = switchboard
        self._reception = reception
        self._waker = waker

    async def run(self) -> None:
        """End or take up every call that the store knows as under way."""
        for found, view, dialogs in await self._services.ledger.unfinished():
            if view.state is CallState.RINGING or dialogs is None:
                await self._end_lost(found, view)
            else:
                await self._resume(found, view, dialogs)

    async def _end_lost(self, found: Found, view: CallView) -> None:
        """A call that rang is gone with its INVITE; the phone must stop ringing."""
        if self._switchboard.find(found.n, view.call) is not None:
            return
        lost = CallState.MISSED if view.state is CallState.RINGING else view.state
        self._services.ledger.record(
            self._services.ledger.entry(found, view), found, lost, ended=True, dialogs=None
        )
        if lost is CallState.MISSED:
            tidings = Tidings(PushEvent.CALL_ENDED, call=view.call, sender=view.caller, urgent=True)
            await self._waker.tell(found, tidings)

    async def _resume(self, found: Found, view: CallView, dialogs: Dialogs) -> None:
        """A call that was answered goes on: both ends still hold their dialogs."""
        try:
            origin = await self._origin(dialogs)
            pair = {side: _dialog(dialogs, side) for side in Door}
        except (RemoteProtocolError, LookupError, TypeError, ValueError):
            await self._end_lost(found, view)
            return
        subject = self._reception.subject_of(found, view.call, view.caller)
        subject.entry.view = view
        bridge = Bridge(subject, self._services)
        self._switchboard.add(bridge)
        bridge.resume(pair, origin)

    async def _origin(self, dialogs: Dialogs) -> Flow:
        kept = dialogs["origin"]
        if not isinstance(kept, list):
            raise TypeError("not an origin")
        target = Target(Transport(kept[0]), str(kept[1]), int(kept[2]))
        try:
            return await self._services.tools.sip.flow_to(target, door=Door.PROVIDER)
        except TransportError:  # a connection that the provider opened: its Contact leads back
            return Flow(GONE, Door.PROVIDER, target.transport, _NOWHERE, (target.host, target.port))


def _dialog(dialogs: Dialogs, side: Door) -> Dialog:
    stored = dialogs[side.value]
    if not isinstance(stored, dict):
        raise TypeError("not a dialog")
    dialog = Dialog.from_mapping(stored)
    dialog.local_seq = (dialog.local_seq or 0) + RESUMED_SEQ
    return dialog
