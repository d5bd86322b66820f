"""The provider's door: each request to the call, mailbox or reception that it is for.

Refuses strangers without an answer, and refuses to stand between a provider and anybody
but an instance: nothing is ever sent on to a third party.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from sipis.errors import RemoteProtocolError, StoreError
from sipis.observe.metrics import Metrics
from sipis.relay.admission import Admission, Denied, Stranger
from sipis.relay.finding import Found
from sipis.relay.headers import ALLOW, unsupported
from sipis.relay.switchboard import Switchboard
from sipis.relay.tools import Tools
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived

MOST_ARRIVING: Final = 5_000
_OUTSIDE: Final = {
    **dict.fromkeys(("BYE", "INFO", "PRACK", "UPDATE"), 481),
    **dict.fromkeys(("PUBLISH", "REGISTER", "SUBSCRIBE"), 405),
    "REFER": 603,
}
"""What a request owes that came outside of a dialog and has nothing to do there; others 501."""

_log = structlog.get_logger("relay")

Take = Callable[[RequestReceived, Found], Awaitable[None]]
Choose = Callable[[RequestReceived, Sequence[Found]], Found]


@dataclass(frozen=True, slots=True)
class Desk:
    """Who takes a method, and how a phone is chosen where several have the address-of-record."""

    take: Take
    choose: Choose = lambda _, found: found[0]


class Router:
    """Takes everything that comes through the provider's door."""

    def __init__(
        self,
        *,
        tools: Tools,
        switchboard: Switchboard,
        admission: Admission,
        desks: Mapping[str, Desk],
        metrics: Metrics,
    ) -> None:
        self._tools = tools
        self._switchboard = switchboard
        self._admission = admission
        self._desks = desks
        self._metrics = metrics
        self._arriving: dict[str, CancelReceived | None] = {}

    def __call__(self, event: RequestReceived | CancelReceived | AckMissing) -> None:
        """Take one event of the door."""
        match event:
            case AckMissing():
                self._switchboard.ack_missing(event)
            case CancelReceived():
                self._cancelled(event)
            case RequestReceived():
                self._receive(event)

    def _cancelled(self, event: CancelReceived) -> None:
        """A CANCEL can overtake the look-up of its INVITE; then it waits for it."""
        if event.transaction in self._arriving:
            self._arriving[event.transaction] = event
        else:
            self._switchboard.cancelled(event)

    def _receive(self, event: RequestReceived) -> None:
        if event.request.to.tag is not None:
            if not self._switchboard.take(event):
                self._refuse(event, 481)
        elif event.transaction is None:
            return
        elif event.request.method == "OPTIONS":
            self._tell_abilities(event)
        elif event.request.method not in self._desks:
            self._refuse(event, _OUTSIDE.get(event.request.method, 501))
        else:
            self._look_up(event, event.transaction)

    def _look_up(self, event: RequestReceived, transaction: str) -> None:
        self._arriving[transaction] = None
        crowded = len(self._arriving) > MOST_ARRIVING
        if crowded or not self._tools.spawn("arrive", self._arrive(event, transaction)):
            del self._arriving[transaction]
            self._refuse(event, 503)

    async def _arrive(self, event: RequestReceived, transaction: str) -> None:
        try:
            admitted = await self._admission.admit(event.request, event.flow)
        except RemoteProtocolError as broken:
            admitted = self._trouble(event, broken.status_hint or 400)
        except StoreError as down:
            _log.error("store is down", error=type(down).__name__)
            admitted = self._trouble(event, 503)
        finally:
            cancel = self._arriving.pop(transaction)
        match admitted:
            case Denied(status):
                self._tools.reply(event, status)
            case Stranger():
                self._ward_off(event)
            case _:
                await self._hand_over(event, admitted, cancel)

    async def _hand_over(
        self, event: RequestReceived, found: Sequence[Found], cancel: CancelReceived | None
    ) -> None:
        desk = self._desks[event.request.method]
        await desk.take(event, desk.choose(event, found))
        if cancel is not None:
            self._switchboard.cancelled(cancel)

    def _trouble(self, event: RequestReceived, status: int) -> Denied | Stranger:
        return Denied(status) if self._admission.trusts(event.flow) else Stranger()

    def _tell_abilities(self, event: RequestReceived) -> None:
        missing = unsupported(event.request)
        if missing:
            self._refuse(event, 420, [("Unsupported", ", ".join(missing))])
        else:
            self._refuse(event, 200, [("Allow", ALLOW)])

    def _refuse(
        self, event: RequestReceived, status: int, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer a known source; leave a stranger in the dark."""
        if not self._admission.trusts(event.flow):
            self._ward_off(event)
            return
        allowed = [("Allow", ALLOW)] if status in (405, 501) else []
        self._tools.reply(event, status, [*headers, *allowed])

    def _ward_off(self, event: RequestReceived) -> None:
        self._metrics.count("foreign_requests_total", door=event.flow.door.value)
        self._tools.ignore(event)
