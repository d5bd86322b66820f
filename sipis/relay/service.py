"""The relay as the rest of the server sees it: two doors, the calls and messages of each instance.

Refuses to be more than a front: what happens is in the rooms behind the doors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from sipis.clock import Clock
from sipis.config import Settings
from sipis.errors import StoreError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.relay.admission import Admission
from sipis.relay.anteroom import Anteroom
from sipis.relay.appdoor import AppDoor
from sipis.relay.bindings import Binding, Bindings
from sipis.relay.bridge import Services
from sipis.relay.call import Event, Kind
from sipis.relay.courier import Courier
from sipis.relay.finding import Found, by_number
from sipis.relay.ledger import CallView, Ledger
from sipis.relay.letters import Letter
from sipis.relay.mailbox import Mailbox
from sipis.relay.pager import Pager
from sipis.relay.ports import Announcer, Names, Proofs, Sip, Sources
from sipis.relay.reception import Reception
from sipis.relay.recovery import Recovery
from sipis.relay.registrar import Registrar
from sipis.relay.router import Desk, Router
from sipis.relay.switchboard import Switchboard
from sipis.relay.tools import Tools
from sipis.relay.waker import Waker
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Door, Flow
from sipis.store import messages
from sipis.store.runner import Store
from sipis.vault import Vault

SWEEP_EVERY: Final = 60.0
DRAIN_STEP: Final = 0.1
LAST_WORDS: Final = 3.0
"""Seconds for the pushes that tell phones of missed calls before the process ends."""

_log = structlog.get_logger("relay")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the composition root hands in."""

    sip: Sip
    names: Names
    store: Store
    vault: Vault
    clock: Clock
    settings: Settings
    metrics: Metrics
    announcer: Announcer
    sources: Sources
    proofs: Proofs
    entropy: Callable[[int], bytes]


class Relay:
    """Calls and messages of every instance; `provider_door` and `app_door` go to the endpoint."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._supervisor = Supervisor("relay", around.clock, on_crash=around.metrics.crashed)
        self._bindings = Bindings()
        self._tools = tools = self._make_tools()
        self._switchboard = Switchboard()
        self._ledger = Ledger(around.store, around.vault, around.clock, tools.spawn)
        self._waker = self._make_waker()
        self._admission = Admission(
            around.store, around.vault, around.clock, around.settings, around.sources
        )
        self._reception = self._make_reception()
        self._courier = Courier(tools, around.store, around.vault)
        self._anteroom = Anteroom(tools)
        self.provider_door = self._anteroom.before(self._make_router())
        app_door = AppDoor(tools, self._switchboard, self._make_registrar())
        self.app_door = self._anteroom.before(app_door)
        self._supervisor.serve("sweep", self._sweep)

    # What the composition root wires to the endpoint.

    def trusts(self, flow: Flow) -> bool:
        """Whether errors may be answered there before anything is known: no stranger's flow."""
        if flow.door is Door.APP:
            return bool(self._bindings.on_flow(flow))
        return self._admission.trusts(flow)

    def connectable(self, flow: Flow) -> bool:
        """Whether a connection to the peer of a UDP flow may succeed.

        To an app behind NAT none does, nor to a provider whose settings say so.
        """
        if flow.door is Door.PROVIDER:
            registrars = self._around.sources.registrars_of(flow.remote[0])
            return all(self._around.settings.provider(it).large_over_tcp for it in registrars)
        return any(binding.is_direct for binding in self._bindings.on_flow(flow))

    def flow_closed(self, flow: Flow) -> None:
        """A flow is gone, and with it the bindings that lived on it."""
        self._bindings.flow_closed(flow)

    async def run(self) -> None:
        """Serve until cancelled; first, end or resume what ran when the process ended."""
        self._supervisor.serve("recover", self._make_recovery().run)
        await self._supervisor.run()

    async def drain(self) -> None:
        """Take no new calls, and wait for the ringing ones; whoever still rings then gets 480."""
        self._reception.drain()
        patience = self._around.settings.policy.drain_timeout
        try:
            await self._wait_while(self._anybody_rings, patience)
        finally:
            for bridge in self._switchboard:
                bridge.feed(Event(Kind.DRAINED))
        await self._wait_while(lambda: self._supervisor.jobs > 0, LAST_WORDS)

    def _anybody_rings(self) -> bool:
        return any(one.pending for one in self._switchboard)

    async def _wait_while(self, busy: Callable[[], bool], most: float) -> None:
        clock = self._tools.clock
        deadline = clock.monotonic() + most
        while clock.monotonic() < deadline and busy():
            await clock.sleep(DRAIN_STEP)

    # What lifecycle and the API ask for.

    def instance_gone(self, n: int) -> None:
        """An instance was destroyed: its phone no longer rings."""
        self._bindings.unbind(n)
        for bridge in self._switchboard.of_instance(n):
            bridge.feed(Event(Kind.GONE))

    @property
    def calls_now(self) -> int:
        """Calls that ring or run."""
        return len(self._switchboard)

    async def calls(self, n: int) -> list[CallView]:
        """Pending and recent calls of an instance, newest first."""
        return await self._ledger.all_of(n)

    async def call(self, n: int, uuid: str) -> CallView | None:
        """What became of a call; None when it is unknown or too old."""
        return await self._ledger.get(n, uuid)

    async def accept(self, n: int, uuid: str) -> CallView | None:
        """The person answers; the app's SIP follows. Returns where the call stands now."""
        return await self._tell(n, uuid, Kind.ACCEPT)

    async def decline(self, n: int, uuid: str) -> CallView | None:
        """The person declines. Returns where the call stands now."""
        return await self._tell(n, uuid, Kind.DECLINE)

    async def messages(self, n: int) -> list[Letter]:
        """The stored messages of an instance, oldest first."""
        now = self._tools.clock.wall()
        found = await self._around.store.read(by_number, n, now)
        if found is None:
            return []
        rows = await self._around.store.read(messages.list_for, n, now)
        letters = [await self._courier.read(found, row) for row in rows]
        return [letter for letter in letters if letter is not None]

    async def acknowledge(self, n: int, mid: str) -> bool:
        """Erase a message that the app has; False where there is none of this name."""
        return await self._around.store.write(messages.remove, n, mid)

    async def _tell(self, n: int, uuid: str, kind: Kind) -> CallView | None:
        bridge = self._switchboard.find(n, uuid)
        if bridge is not None:
            bridge.feed(Event(kind))
        return await self._ledger.get(n, uuid)

    # What the doors report.

    async def _take_invite(self, event: RequestReceived, found: Found) -> None:
        self._reception.take(event, found)

    async def _app_arrived(self, found: Found, binding: Binding) -> None:
        self._tools.awaited.arrived(found.n, binding.flow, self._tools.clock.monotonic())
        for bridge in self._switchboard.of_instance(found.n):
            if bridge.pending:
                bridge.app_came(binding)
        self._tools.spawn("deliver", self._deliver(found))
        if not all(target.verified for target in found.targets):
            await self._around.proofs.app_registered(found.n, found.id)

    async def _deliver(self, found: Found) -> None:
        await self._courier.deliver(found)

    async def _sweep(self) -> None:
        clock = self._tools.clock
        while True:
            await clock.sleep(SWEEP_EVERY)
            self._bindings.sweep(clock.monotonic())
            self._tools.awaited.sweep(clock.monotonic())
            self._around.metrics.gauge("calls_now", len(self._switchboard))
            try:
                await self._ledger.purge()
                await self._around.store.write(messages.purge, clock.wall())
            except StoreError as down:
                _log.warning("not purged", error=type(down).__name__)

    # How the parts are joined.

    def _services(self) -> Services:
        return Services(self._tools, self._ledger, self._switchboard, self._around.metrics)

    def _make_tools(self) -> Tools:
        around = self._around
        return Tools(
            sip=around.sip,
            names=around.names,
            clock=around.clock,
            spawn=self._supervisor.spawn,
            entropy=around.entropy,
            bindings=self._bindings,
            user_agent=around.settings.sip.user_agent,
        )

    def _make_waker(self) -> Waker:
        around = self._around
        return Waker(
            announcer=around.announcer,
            store=around.store,
            vault=around.vault,
            clock=around.clock,
            settings=around.settings,
        )

    def _make_reception(self) -> Reception:
        return Reception(
            services=self._services(),
            switchboard=self._switchboard,
            waker=self._waker,
            vault=self._around.vault,
            settings=self._around.settings,
        )

    def _make_recovery(self) -> Recovery:
        return Recovery(
            services=self._services(),
            switchboard=self._switchboard,
            reception=self._reception,
            waker=self._waker,
            on_taken_up=self._anteroom.open,
        )

    def _make_registrar(self) -> Registrar:
        around = self._around
        return Registrar(
            tools=self._tools,
            store=around.store,
            vault=around.vault,
            settings=around.settings.sip,
            metrics=around.metrics,
            arrived=self._app_arrived,
        )

    def _make_router(self) -> Router:
        around, tools = self._around, self._tools
        pager = Pager(
            tools=tools,
            store=around.store,
            vault=around.vault,
            waker=self._waker,
            courier=self._courier,
            policy=around.settings.policy,
            metrics=around.metrics,
        )
        mailbox = Mailbox(tools=tools, store=around.store, vault=around.vault, waker=self._waker)
        return Router(
            tools=tools,
            switchboard=self._switchboard,
            admission=self._admission,
            desks={
                "INVITE": Desk(self._take_invite, self._reception.choose),
                "MESSAGE": Desk(pager.take, pager.choose),
                "NOTIFY": Desk(mailbox.take),
            },
            metrics=around.metrics,
        )
