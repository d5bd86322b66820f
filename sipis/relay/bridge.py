"""One running call: takes what happens to the machine, and carries out what the machine commands.

Events are worked off one after another, also when carrying out a command causes the next one.
Refuses decisions: what is to happen is the machine's word (relay/call), what it looks like as a
message is that of the two sides, and what crosses inside the call that of the passage.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from sipis.clock import Alarm
from sipis.model import CallState
from sipis.observe.metrics import Metrics
from sipis.relay import call as do
from sipis.relay.bindings import Binding
from sipis.relay.call import ELAPSED, Call, Event, Kind, Policy, Timer
from sipis.relay.doorbell import Doorbell
from sipis.relay.finding import Found
from sipis.relay.invitation import Invitation
from sipis.relay.keepsake import Keepsake, of_dialogs, of_invite
from sipis.relay.ledger import Entry, Ledger
from sipis.relay.legs import Headers
from sipis.relay.passage import RETRY_AFTER, may_offer
from sipis.relay.reason import ending_of
from sipis.relay.sides import Names, Sides
from sipis.relay.summons import CALL_HEADER, HOP_HEADER
from sipis.relay.tools import Tools
from sipis.sip.dialog import Dialog
from sipis.sip.events import CancelReceived, RequestReceived
from sipis.sip.flow import Door, Flow
from sipis.sip.message import Request

_BYE = {Door.PROVIDER: Kind.PROVIDER_BYE, Door.APP: Kind.APP_BYE}
_LOST = {Door.PROVIDER: Kind.PROVIDER_LOST, Door.APP: Kind.APP_LOST}
_UNDER_WAY = frozenset({CallState.RINGING, CallState.ANSWERED})
_EARLY = {"OPTIONS": 200, "PRACK": 481}


class Directory(Names, Protocol):
    """Where calls are found by the names of their dialogs."""

    def enter(self, name: tuple[str, str], bridge: "Bridge", side: Door) -> None:
        """Requests with this Call-ID and To tag are for that side of the call."""

    def leave(self, bridge: "Bridge") -> None:
        """The call is over."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all bridges share."""

    tools: Tools
    ledger: Ledger
    directory: Directory
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose call it is, under which UUID, how it rings and where it is written down."""

    found: Found
    uuid: str
    policy: Policy
    entry: Entry
    doorbell: Doorbell
    hop: str = ""
    """Marks the INVITE to the app, so that one that comes back to us is known as a loop."""


class Bridge:
    """One call between a provider and an app."""

    def __init__(
        self, subject: Subject, services: Services, invitation: Invitation | None = None
    ) -> None:
        self.n = subject.found.n
        self.uuid = subject.uuid
        self._subject = subject
        self._services = services
        self._tools = services.tools
        self._began_at = 0.0 if invitation is None else invitation.came_at
        self._accepted_at: float | None = None
        self._call = Call(subject.policy)
        self._inbox: deque[Event] = deque()
        self._busy = False
        self._alarms: dict[Timer, Alarm] = {}
        self._sides = Sides(self.n, self._tools, services.directory, self._enter, invitation)

    @property
    def pending(self) -> bool:
        """Whether the provider still waits for the final response."""
        return self._call.pending

    @property
    def clearing(self) -> bool:
        """Whether nothing is left of it but INVITEs that the app still has to give up."""
        return self._call.clearing

    @property
    def dialogs(self) -> dict[Door, Dialog]:
        """The dialogs of both legs, once the call was answered."""
        return self._sides.dialogs

    @property
    def invite(self) -> str | None:
        """The transaction of the provider's INVITE; None after a restart."""
        return None if self._sides.invitation is None else self._sides.invitation.transaction

    def feed(self, event: Event) -> None:
        """Hand the machine an event, and carry out what it commands."""
        self._inbox.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                for command in self._call.feed(self._inbox.popleft()):
                    self._carry_out(command)
        finally:
            self._busy = False

    def resume(self, dialogs: dict[Door, Dialog], origin: Flow) -> None:
        """Take up a call that was answered before the server was started again."""
        self._sides.join(dialogs, origin, None)
        self._watch_legs()
        self.feed(Event(Kind.RESUMED, claim=1))

    def app_came(self, binding: Binding) -> None:
        """The app has registered; on the flow that has our INVITE already that is no news."""
        self._note_wake()
        claim = self._call.facts.claim
        waits = claim in self._call.facts.unsettled
        if not (waits and self._sides.flow_of(claim) == binding.flow):
            self.feed(Event(Kind.CAME))

    def cancelled(self, event: CancelReceived) -> None:
        """The CANCEL of an INVITE, the first or one inside the call, from where that came."""
        invitation, passage = self._sides.invitation, self._sides.passage
        if invitation is not None and event.transaction == invitation.transaction:
            if event.flow.same_source(invitation.flow):
                self._sides.cancel = event.request
                self.feed(Event(Kind.CANCEL, ending=ending_of(event.request)))
        elif passage is not None:
            passage.cancel(event.transaction, self._tools.sip.cancel)

    def ack_missing(self, transaction: str) -> None:
        """A final response of ours was never acknowledged."""
        if transaction == self.invite:
            self.feed(Event(Kind.ACK_MISSING))
        elif self._sides.passage is not None:
            self._sides.passage.ack_missing(transaction)

    def take(self, side: Door, event: RequestReceived) -> None:
        """A request inside one of the dialogs."""
        request, passage = event.request, self._sides.passage
        if request.method == "ACK":
            self._take_ack(side, request)
        elif request.method == "BYE":
            self._take_bye(side, event)
        elif passage is None:
            self._answer_early(event)
        elif may_offer(request) and not self._call.joined:
            self._tools.reply(event, 491)
        else:
            passage.receive(side, event)

    def _take_ack(self, side: Door, ack: Request) -> None:
        if side is Door.PROVIDER and not self._call.joined:
            self._sides.ack = ack
            self.feed(Event(Kind.ACK))
        elif self._sides.passage is not None:
            self._sides.passage.acknowledge(side, ack)

    def _take_bye(self, side: Door, event: RequestReceived) -> None:
        dialog = self._sides.dialog(side)
        owed = 481 if dialog is None else dialog.receive(event.request)
        self._tools.reply(event, owed or 200)
        if owed is None:
            self._sides.byes[side] = event.request
            self.feed(Event(_BYE[side]))

    def _answer_early(self, event: RequestReceived) -> None:
        """Before the answer there is no session to change (RFC 3311 5.2)."""
        status = _EARLY.get(event.request.method, 500)
        self._tools.reply(event, status, [RETRY_AFTER] if status == 500 else [])

    def _carry_out(self, command: do.Command) -> None:
        """Do on the two sides what the machine commands."""
        claim = self._call.facts.claim
        match command:
            case do.Respond():
                self._sides.respond(command, self._progress(command), claim)
            case do.Answer():
                self._sides.answer(command.claim)
                self._watch_legs()
            case do.InviteApp():
                self._invite_app(command.claim)
            case do.CancelApp():
                self._sides.cancel_app(command.claim)
            case do.AbandonApp():
                self._sides.abandon_app(command.claim)
            case do.AckApp():
                self._sides.ack_app(command.claim, current=command.claim == claim)
            case do.ByeApp():
                self._sides.bye_app(command.claim, current=command.claim == claim)
            case do.ByeProvider():
                self._sides.bye_provider()
            case _:
                self._carry_out_beside(command)

    def _carry_out_beside(self, command: do.Command) -> None:
        """Do what the machine commands beside the two sides."""
        doorbell = self._subject.doorbell
        match command:
            case do.StartTimer():
                self._start(command)
            case do.StopTimer():
                self._alarms.pop(command.timer).cancel()
            case do.Push():
                doorbell.ring(self._pushed, since=self._began_at)
            case do.StopPush():
                doorbell.stop()
            case do.TellEnd():
                doorbell.tell_end(command.outcome)
            case do.Record():
                self._record(command.state)
            case do.Release():
                self._release()

    def _progress(self, command: do.Respond) -> Headers:
        if not self._subject.policy.progress:
            return []
        told = (("Push-Status", command.push_status), ("Reason", command.reason))
        return [(f"X-Sipis-{name}", value) for name, value in told if value]

    def _watch_legs(self) -> None:
        assert self._sides.passage is not None
        self._sides.passage.lost = lambda side: self.feed(Event(_LOST[side]))

    def _invite_app(self, claim: int) -> None:
        ours = [(CALL_HEADER, self.uuid), (HOP_HEADER, self._subject.hop)]
        if not self._sides.invite_app(claim, ours, self.feed):
            self.feed(Event(Kind.LOST, claim))

    def _start(self, command: do.StartTimer) -> None:
        timer, clock = command.timer, self._tools.clock
        old = self._alarms.get(timer)
        if old is not None:
            old.cancel()
        due = clock.monotonic() + command.seconds
        self._alarms[timer] = clock.call_at(due, lambda: self.feed(Event(ELAPSED[timer])))

    def _pushed(self, verdict: Kind) -> None:
        if verdict is Kind.PUSH_ACCEPTED:
            self._accepted_at = self._tools.clock.monotonic()
            elapsed = self._accepted_at - self._began_at
            self._services.metrics.observe("invite_to_accepted_seconds", elapsed)
        self.feed(Event(verdict))

    def _note_wake(self) -> None:
        """How long a phone takes from push to registration is the real level of service."""
        if self._accepted_at is not None:
            elapsed = self._tools.clock.monotonic() - self._accepted_at
            self._services.metrics.observe("push_to_wake_seconds", elapsed)
            self._accepted_at = None

    def _record(self, state: CallState) -> None:
        self._write(state, ended=state not in _UNDER_WAY, keepsake=self._keepsake(state))
        if state is not CallState.RINGING:
            self._services.metrics.count("calls_total", end=state.value)

    def _write(self, state: CallState, *, ended: bool, keepsake: Keepsake | None = None) -> None:
        subject = self._subject
        self._services.ledger.record(
            subject.entry, subject.found, state, ended=ended, keepsake=keepsake
        )

    def _keepsake(self, state: CallState) -> Keepsake | None:
        """What a restart needs to go on with the call."""
        if state not in _UNDER_WAY:
            return None
        invitation = self._sides.invitation
        assert invitation is not None
        if state is CallState.RINGING:
            return of_invite(invitation.request, invitation.flow)
        return of_dialogs(self.dialogs, invitation.flow)

    def _release(self) -> None:
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        if self._subject.entry.view.state is CallState.ANSWERED:
            self._write(CallState.ANSWERED, ended=True)
        self._services.directory.leave(self)

    def _enter(self, name: tuple[str, str], side: Door) -> None:
        self._services.directory.enter(name, self, side)
