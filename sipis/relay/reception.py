"""An admitted INVITE becomes a call, or gets the refusal that it owes.

Refuses what no phone should be bothered with: loops, calls beyond the budget, calls that need what
we do not speak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from sipis.config import Settings
from sipis.errors import RemoteProtocolError
from sipis.push.payload import call_uuid
from sipis.relay.bridge import Bridge, Services, Subject
from sipis.relay.budget import Budget
from sipis.relay.call import Event, Kind
from sipis.relay.caller import caller_of
from sipis.relay.doorbell import Doorbell
from sipis.relay.finding import Found
from sipis.relay.headers import carried, unsupported
from sipis.relay.invitation import Invitation
from sipis.relay.legs import Headers
from sipis.relay.policy import policy_for
from sipis.relay.replaces import DialogName
from sipis.relay.summons import HOP_HEADER
from sipis.relay.switchboard import Switchboard
from sipis.relay.waker import Waker
from sipis.sip.events import RequestReceived
from sipis.sip.message import Request
from sipis.vault import Vault

QUIET_AFTER: Final = 30.0
"""A flow on which nothing came for so many seconds may belong to an app that the phone froze."""
HOP_DIGITS: Final = 32

_log = structlog.get_logger("relay")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an INVITE is answered instead of ringing."""

    status: int
    headers: Headers = ()


class Reception:
    """Takes the calls of all providers."""

    def __init__(
        self,
        *,
        services: Services,
        switchboard: Switchboard,
        waker: Waker,
        vault: Vault,
        settings: Settings,
    ) -> None:
        self._services = services
        self._tools = services.tools
        self._switchboard = switchboard
        self._waker = waker
        self._vault = vault
        self._settings = settings
        self._budget = Budget(settings.policy.calls_per_minute)
        self._draining = False

    def drain(self) -> None:
        """Take no further calls."""
        self._draining = True

    def choose(self, event: RequestReceived, found: Sequence[Found]) -> Found:
        """Of phones with one address-of-record, the first that this call does not ring at yet."""
        if len(found) == 1:
            return found[0]
        find = self._switchboard.find
        idle = (one for one in found if find(one.n, _uuid(event.request, one)) is None)
        return next(idle, found[0])

    def take(self, event: RequestReceived, found: Found) -> Bridge | None:
        """Let a phone ring; None when the INVITE was refused."""
        try:
            uuid = _uuid(event.request, found)
            refusal = self._refusal(event.request, found, uuid)
            bridge = None if refusal else self._begin(event, found, uuid)
        except RemoteProtocolError as broken:
            refusal, bridge = Refusal(broken.status_hint or 400), None
        if refusal is not None:
            self._services.metrics.count("calls_total", end="refused")
            _log.info("call refused", instance=found.id, status=refusal.status)
            self._tools.reply(event, refusal.status, refusal.headers)
        return bridge

    def _refusal(self, request: Request, found: Found, uuid: str) -> Refusal | None:
        missing = unsupported(request)
        if missing:
            return Refusal(420, [("Unsupported", ", ".join(missing))])
        if self._came_round(request, found):
            return Refusal(482)
        if self._draining or self._switchboard.full:
            return Refusal(503, [("Retry-After", "30")])
        if self._is_here(found, uuid):
            return Refusal(482)
        if not self._knows_replaced(request):
            return Refusal(481)
        if self._switchboard.busy(found.n):
            return Refusal(486)
        in_time = self._budget.spend(found.n, self._tools.clock.monotonic())
        return None if in_time else Refusal(480, [("Retry-After", "60")])

    def _begin(self, event: RequestReceived, found: Found, uuid: str) -> Bridge:
        request = event.request
        # Read what crosses to the app while the request can still be refused for it.
        for _ in carried(request):
            pass
        invitation = Invitation(event, self._tools)
        subject = self.subject_of(found, uuid, caller_of(request))
        bridge = Bridge(subject, self._services, invitation)
        self._switchboard.add(bridge)
        bridge.feed(Event(self._kind(request, found)))
        return bridge

    def subject_of(self, found: Found, uuid: str, caller: str | None) -> Subject:
        """All about a call but its messages."""
        policy = policy_for(self._settings, found.app, found.row.registrar)
        doorbell = Doorbell(
            self._waker,
            self._tools.spawn,
            found=found,
            uuid=uuid,
            caller=caller,
            window=policy.react_timeout,
        )
        entry = self._services.ledger.open(found, uuid, caller)
        return Subject(found, uuid, policy, entry, doorbell, self._hop(found))

    def _kind(self, request: Request, found: Found) -> Kind:
        """Whether the app is awake, as far as its flow tells; in a call that is replaced it is."""
        now = self._tools.clock.monotonic()
        binding = self._tools.bindings.find(found.n, now)
        if binding is None or not self._tools.sip.is_open(binding.flow):
            return Kind.CALLED_ASLEEP
        quiet = now - self._tools.sip.last_received(binding.flow) >= QUIET_AFTER
        in_doubt = quiet and "Replaces" not in request.headers
        return Kind.CALLED_QUIET if in_doubt else Kind.CALLED_CONNECTED

    def _is_here(self, found: Found, uuid: str) -> bool:
        """Whether this very call rings or runs already (RFC 3261 8.2.2.2)."""
        bridge = self._switchboard.find(found.n, uuid)
        return bridge is not None and not bridge.clearing

    def _knows_replaced(self, request: Request) -> bool:
        """Whether a dialog that the INVITE replaces is ours, if it replaces any (RFC 3891 3)."""
        value = request.headers.get("Replaces")
        return value is None or self._switchboard.across(DialogName.parse(value)) is not None

    def _came_round(self, request: Request, found: Found) -> bool:
        hops = request.headers.get_all(HOP_HEADER)
        return bool(hops) and self._hop(found) in hops

    def _hop(self, found: Found) -> str:
        return self._vault.index(f"hop:{found.id}").hex()[:HOP_DIGITS]


def _uuid(request: Request, found: Found) -> str:
    return call_uuid(found.id, request.call_id, request.from_tag or "")
