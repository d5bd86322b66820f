"""The two sides of one call as messages: what is said to the provider, and what to the app.

Here are the INVITE of the one, our INVITEs to the other, and, once it was answered, the two legs.
Refuses to decide when: the bridge says what is due.
"""

from collections.abc import Callable
from typing import Protocol

from sipis.relay.call import Event, Respond
from sipis.relay.headers import body_for, carried
from sipis.relay.invitation import Invitation
from sipis.relay.legs import Headers, Leg
from sipis.relay.passage import Passage
from sipis.relay.replaces import DialogName, translated_refer
from sipis.relay.summons import Summons
from sipis.relay.tools import Tools
from sipis.relay.ways import AppWay, ProviderWay, Way
from sipis.sip.dialog import Dialog
from sipis.sip.flow import Door, Flow
from sipis.sip.message import Request
from sipis.sip.message.fields import key_of

Enter = Callable[[tuple[str, str], Door], None]
"""Requests with this Call-ID and To tag are for that side of the call."""


class Names(Protocol):
    """Where the dialogs of all calls are known."""

    def across(self, name: DialogName) -> DialogName | None:
        """The name of a dialog of ours on its other leg; None for one that is not ours."""


class Sides:
    """Both sides of one call."""

    def __init__(
        self, n: int, tools: Tools, names: Names, enter: Enter, invitation: Invitation | None
    ) -> None:
        self.invitation = invitation
        self.legs: dict[Door, Leg] = {}
        self.passage: Passage | None = None
        self.ack: Request | None = None
        """The provider's ACK to our 2xx."""
        self.cancel: Request | None = None
        """The provider's CANCEL."""
        self.byes: dict[Door, Request] = {}
        self._n = n
        self._tools = tools
        self._names = names
        self._enter = enter
        self._summons: dict[int, Summons] = {}
        if invitation is not None:
            self._note(invitation.dialog, Door.PROVIDER)

    @property
    def dialogs(self) -> dict[Door, Dialog]:
        """The dialogs of both legs, once the call was answered."""
        return {side: leg.dialog for side, leg in self.legs.items()}

    def dialog(self, side: Door) -> Dialog | None:
        """The dialog that a request of that side is judged by."""
        if side in self.legs:
            return self.legs[side].dialog
        if side is Door.PROVIDER and self.invitation is not None:
            return self.invitation.dialog
        return None

    def flow_of(self, claim: int) -> Flow | None:
        """The flow that carries an INVITE to the app."""
        summons = self._summons.get(claim)
        return None if summons is None else summons.flow

    def respond(self, command: Respond, headers: Headers, claim: int) -> None:
        """Answer the provider's INVITE."""
        assert self.invitation is not None
        extra = list(headers)
        answer = self._summons[claim].answer if command.relayed else None
        if answer is not None:
            extra += carried(answer)
        self.invitation.respond(command.status, extra)

    def answer(self, claim: int) -> None:
        """Answer the provider's INVITE with the app's 2xx, and join the two dialogs."""
        invitation, summons = self.invitation, self._summons[claim]
        assert invitation is not None
        assert summons.answer is not None
        assert summons.dialog is not None
        answer = summons.answer
        invitation.respond(answer.status, carried(answer), body_for(answer, invitation.flow))
        invitation.dialog.confirm()
        dialogs = {Door.PROVIDER: invitation.dialog, Door.APP: summons.dialog}
        self.join(dialogs, invitation.flow, summons.flow)

    def join(self, dialogs: dict[Door, Dialog], origin: Flow, app_flow: Flow | None) -> None:
        """Make legs of two dialogs; `origin` is where the provider's INVITE came from."""
        tools = self._tools
        ways: dict[Door, Way] = {
            Door.PROVIDER: ProviderWay(tools.sip, tools.names, tools.spawn, origin),
            Door.APP: AppWay(tools, self._n, app_flow),
        }
        self.legs = {side: Leg(side, dialogs[side], ways[side], tools) for side in Door}
        for side, leg in self.legs.items():
            self._note(leg.dialog, side)
            leg.locate()
        self.passage = Passage(self.legs, self._translate)

    def invite_app(self, claim: int, headers: Headers, report: Callable[[Event], None]) -> bool:
        """Send our INVITE to the app's newest flow; False when it has none."""
        assert self.invitation is not None
        binding = self._tools.bindings.find(self._n, self._tools.clock.monotonic())
        if binding is None or not self._tools.sip.is_open(binding.flow):
            return False
        summons = Summons(self._tools, self.invitation.request, binding, claim, report)
        self._summons[claim] = summons
        self._enter(summons.name, Door.APP)
        summons.send([*headers, *self._replaced()])
        return True

    def cancel_app(self, claim: int) -> None:
        """Take an INVITE to the app back, for the reasons that the provider gave (RFC 3326)."""
        reasons = [] if self.cancel is None else self.cancel.headers.get_all("Reason")
        summons = self._summons.get(claim)
        if summons is not None:
            summons.cancel([("Reason", reason) for reason in reasons])

    def abandon_app(self, claim: int) -> None:
        """Wait no longer for the final response to an INVITE."""
        summons = self._summons.get(claim)
        if summons is not None:
            summons.abandon()

    def ack_app(self, claim: int, *, current: bool) -> None:
        """Acknowledge the app's 2xx; the current one with what the provider's ACK carried."""
        summons = self._summons[claim]
        if current and self.ack is not None and Door.APP in self.legs:
            headers = list(carried(self.ack))
            self.legs[Door.APP].ack(summons.number, summons.invite, headers, self.ack)
        else:
            summons.ack()

    def bye_app(self, claim: int, *, current: bool) -> None:
        """End the app's dialog, for the reasons that the provider gave."""
        if current and Door.APP in self.legs:
            self.legs[Door.APP].bye(self._bye_headers(Door.PROVIDER))
        else:
            self._summons[claim].bye()

    def bye_provider(self) -> None:
        """End the provider's dialog, for the reasons that the app gave."""
        self.legs[Door.PROVIDER].bye(self._bye_headers(Door.APP))

    def _replaced(self) -> Headers:
        """The dialog that the INVITE replaces, as the app knows it (RFC 3891)."""
        assert self.invitation is not None
        value = self.invitation.request.headers.get("Replaces")
        name = None if value is None else self._names.across(DialogName.parse(value))
        return [] if name is None else [("Replaces", str(name))]

    def _bye_headers(self, side: Door) -> Headers:
        bye = self.byes.get(side)
        return [] if bye is None else list(carried(bye))

    def _note(self, dialog: Dialog, side: Door) -> None:
        self._enter((dialog.call_id, dialog.local_tag or ""), side)

    def _translate(self, request: Request) -> list[tuple[str, str]]:
        across = self._names.across
        return [
            (name, translated_refer(value, across) if key_of(name) == "refer-to" else value)
            for name, value in carried(request)
        ]
