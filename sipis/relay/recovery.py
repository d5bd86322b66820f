"""After a start: calls that the last process left behind are ended or taken up again.

A call that rang a moment ago rings on: its INVITE is taken in again, and the provider, whose
transaction still waits, gets the answer to it. One of which nothing is left, or that rang too long
ago, has ended, and its phone is told. A call that was answered goes on, for both ends still hold
their dialogs.
Refuses to guess: what cannot be read is ended.
"""

from collections.abc import Callable
from typing import Final

from sipis.errors import RemoteProtocolError, TransportError
from sipis.model import CallState, PushEvent
from sipis.relay.bridge import Bridge, Services
from sipis.relay.finding import Found
from sipis.relay.keepsake import Keepsake, dialog_in, invite_in, origin_in
from sipis.relay.ledger import CallView
from sipis.relay.reception import Reception
from sipis.relay.switchboard import Switchboard
from sipis.relay.waker import Tidings, Waker
from sipis.sip.dialog import Dialog
from sipis.sip.flow import Door, Flow

RESUMED_SEQ: Final = 1000
"""Added to our CSeq: the numbers used since the call was written down are lost."""
RINGS_ON: Final = 60.0
"""Seconds after its INVITE in which a call is taken up: longer, and hardly any caller waits."""
GRACE: Final = 2.0
"""Seconds in which a call that was taken up must ring."""
LONGEST_WAIT: Final = 2.0
"""Seconds for which others wait: connections to a provider that is down take their time."""
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
        on_taken_up: Callable[[], None],
    ) -> None:
        """`on_taken_up` is called when every dialog is known, or LONGEST_WAIT is over."""
        self._services = services
        self._switchboard = switchboard
        self._reception = reception
        self._waker = waker
        self._on_taken_up = on_taken_up

    async def run(self) -> None:
        """End or take up every call that the store knows as under way."""
        clock = self._services.tools.clock
        alarm = clock.call_at(clock.monotonic() + LONGEST_WAIT, self._on_taken_up)
        try:
            rang = await self._take_up()
        finally:
            alarm.cancel()
            self._on_taken_up()
        if rang:
            await clock.sleep(GRACE)
        for found, view in rang:
            await self._end_lost(found, view)

    async def _take_up(self) -> list[tuple[Found, CallView]]:
        """Take up what can be; returns the calls that rang."""
        unfinished = await self._services.ledger.unfinished()
        rang = [one for one in unfinished if one[1].state is CallState.RINGING]
        for _, view, keepsake in rang:
            await self._ring_on(view, keepsake)
        for found, view, keepsake in unfinished:
            if view.state is not CallState.RINGING:
                await self._resume(found, view, keepsake or {})
        return [(found, view) for found, view, _ in rang]

    async def _ring_on(self, view: CallView, keepsake: Keepsake | None) -> None:
        """Take the INVITE in as if the provider had repeated it, unless there is none."""
        tools = self._services.tools
        if keepsake is None or tools.clock.wall() - view.started_at > RINGS_ON:
            return
        try:
            flow = await tools.sip.flow_to(origin_in(keepsake), door=Door.PROVIDER)
            tools.sip.take_again(invite_in(keepsake), flow)
        except (LookupError, TypeError, ValueError, TransportError):
            return

    async def _end_lost(self, found: Found, view: CallView) -> None:
        """Nothing is left of a call: the phone must stop ringing."""
        if self._services.ledger.knows(found.n, view.call):
            return
        lost = CallState.MISSED if view.state is CallState.RINGING else view.state
        self._services.ledger.record(
            self._services.ledger.entry(found, view), found, lost, ended=True
        )
        if lost is CallState.MISSED:
            tidings = Tidings(PushEvent.CALL_ENDED, call=view.call, sender=view.caller, urgent=True)
            await self._waker.tell(found, tidings)

    async def _resume(self, found: Found, view: CallView, keepsake: Keepsake) -> None:
        """A call that was answered goes on: both ends still hold their dialogs."""
        try:
            origin = await self._origin(keepsake)
            pair = {side: _dialog(keepsake, side) for side in Door}
        except (RemoteProtocolError, LookupError, TypeError, ValueError):
            await self._end_lost(found, view)
            return
        subject = self._reception.subject_of(found, view.call, view.caller)
        subject.entry.view = view
        bridge = Bridge(subject, self._services)
        self._switchboard.add(bridge)
        bridge.resume(pair, origin)

    async def _origin(self, keepsake: Keepsake) -> Flow:
        target = origin_in(keepsake)
        try:
            return await self._services.tools.sip.flow_to(target, door=Door.PROVIDER)
        except TransportError:  # a connection that the provider opened: its Contact leads back
            return Flow(GONE, Door.PROVIDER, target.transport, _NOWHERE, (target.host, target.port))


def _dialog(keepsake: Keepsake, side: Door) -> Dialog:
    dialog = dialog_in(keepsake, side)
    dialog.local_seq = (dialog.local_seq or 0) + RESUMED_SEQ
    return dialog
