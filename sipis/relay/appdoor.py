"""The app's door: REGISTER to the registrar, requests inside calls to their call.

A stranger gets a challenge whatever it asks for, and over UDP nothing at all.
Refuses to place calls or to send anything to a provider for an app: a stolen relay login must not
cost anybody money.
"""

from typing import Final

from sipis.relay.headers import ALLOW
from sipis.relay.registrar import Registrar
from sipis.relay.switchboard import Switchboard
from sipis.relay.tools import Tools
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived
from sipis.sip.flow import Transport

_OUTSIDE: Final = {
    "BYE": 481,
    "INFO": 481,
    "INVITE": 603,
    "NOTIFY": 481,
    "OPTIONS": 200,
    "REFER": 603,
    "UPDATE": 481,
}
"""What a request owes that came outside of a dialog; others 405."""


class AppDoor:
    """Takes everything that comes through the app's door."""

    def __init__(self, tools: Tools, switchboard: Switchboard, registrar: Registrar) -> None:
        self._tools = tools
        self._switchboard = switchboard
        self._registrar = registrar

    def __call__(self, event: RequestReceived | CancelReceived | AckMissing) -> None:
        """Take one event of the door."""
        match event:
            case AckMissing():
                self._switchboard.ack_missing(event)
            case CancelReceived():
                self._switchboard.cancelled(event)
            case RequestReceived():
                self._receive(event)

    def _receive(self, event: RequestReceived) -> None:
        method = event.request.method
        if method == "REGISTER":
            self._registrar.receive(event)
        elif event.request.to.tag is None:
            self._answer(event, _OUTSIDE.get(method, 405))
        elif not self._switchboard.take(event):
            self._answer(event, 481)

    def _answer(self, event: RequestReceived, status: int) -> None:
        if self._tools.bindings.on_flow(event.flow):
            self._tools.reply(event, status, [("Allow", ALLOW)] if status in (200, 405) else [])
        elif event.flow.transport is Transport.UDP:
            self._tools.ignore(event)
        else:
            self._registrar.challenge(event)
