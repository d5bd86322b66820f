"""The server: all rooms made, joined, started in order and stopped in the reverse of it.

Refuses to serve before what expired meanwhile has been destroyed, and to stop while it is asked to
drain and phones still ring.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

import structlog

from sipis.api.admin import AdminHandlers
from sipis.api.auditor import AuditorHandlers
from sipis.api.canary import CanaryHandlers
from sipis.api.evidence import EvidenceHandlers
from sipis.api.inbox import InboxHandlers
from sipis.api.instances import InstanceHandlers
from sipis.api.keys import AppKeys, KeyFile
from sipis.api.server import HttpListener, admin_app, public_app
from sipis.app.accounts import push_files
from sipis.app.evidence import checkpoints_of, open_notary
from sipis.app.files import Followed
from sipis.app.residue import places
from sipis.app.rooms import Ground, open_ground
from sipis.app.upkeep import Charges, Upkeep
from sipis.clock import Clock, SystemClock
from sipis.config import Settings
from sipis.errors import ConfigError
from sipis.lifecycle.calendar import Calendar, CalendarClock
from sipis.lifecycle.canary import Canary, Grounds
from sipis.lifecycle.service import Lifecycle
from sipis.observe.health import Health
from sipis.push.dispatcher import Dispatcher
from sipis.registrant.dispatch import Rooms
from sipis.registrant.engine import Registrant
from sipis.relay.service import Relay, Surroundings
from sipis.sip.flow import Door, Transport
from sipis.vault.medium import overridden
from sipis.vault.process import wipes_freed
from sipis.vault.roller import Roller

_log = structlog.get_logger("app")


class Server:
    """One server; use it as an async context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Nothing is opened before the server is entered."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._entropy = entropy
        self._open = AsyncExitStack()
        self.health = Health()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        _log.info("stopping")
        await self._open.aclose()
        _log.info("stopped")

    @property
    def api_port(self) -> int:
        """The port of the app API."""
        return self._api.port

    @property
    def admin_port(self) -> int:
        """The port of the admin listener."""
        return self._admin.port

    async def drain(self, hurry: asyncio.Event) -> None:
        """Take no new calls, let the ringing ones end and farewells be said, unless hurried."""
        _log.info("draining")
        self.health.drain()
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(self._drain_rooms())
            hurried = group.create_task(hurry.wait())
            await asyncio.wait({drained, hurried}, return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            hurried.cancel()

    async def _drain_rooms(self) -> None:
        await self._relay.drain()
        await self._registrant.drain()

    async def _start(self) -> None:
        self.health.await_part("rooms")
        self._ground = ground = await open_ground(
            self._settings, self._clock, self._entropy, self._open
        )
        self._app_keys = AppKeys(self._settings.apps)
        self._admin_token = self._read_admin_token()
        self._join(ground)
        await self._lifecycle.resume_calendar()
        await self._notary.open()
        await self._notary.epoch_found(ground.vault.generation)
        if overridden(self._settings):
            await self._notary.overridden("allow_copy_on_write")
        await self._lifecycle.recover()
        await self._registrant.know_sources()
        await ground.endpoint.start()
        self._open.push_async_callback(ground.endpoint.stop)
        await self._run_rooms(ground)
        await self._listen(ground)
        self.health.part_works("rooms")
        _log.info("serving", port=self.api_port)

    def _join(self, ground: Ground) -> None:
        """Make the upper rooms and introduce them to each other."""
        settings, clock, store = self._settings, self._clock, ground.store
        calendar = Calendar(clock)
        self._dated = CalendarClock(clock, calendar)
        self._notary = open_notary(ground, self.health, self._dated, self._entropy)
        self._lifecycle = Lifecycle(
            store=store, vault=ground.vault, clock=clock, settings=settings,
            policy=ground.policy, metrics=ground.metrics, entropy=self._entropy,
            notary=self._notary, key_events=self._notary, calendar=calendar,
        )  # fmt: skip
        self._roller = Roller(
            ground.vault, settings.keys, clock=clock, metrics=ground.metrics, events=self._notary
        )
        self._canary = self._make_canary(ground)
        self._dispatcher = ground.dispatcher(clock, self._entropy)
        self._dispatcher.fates = self._lifecycle
        self._registrant = Registrant(
            Rooms(store, ground.vault, ground.endpoint, ground.resolver, clock), settings,
            self._lifecycle, entropy=self._entropy, metrics=ground.metrics,
        )  # fmt: skip
        self._lifecycle.join(self._registrant, self._dispatcher)
        self._relay = self._make_relay(ground, self._dispatcher)
        endpoint = ground.endpoint
        endpoint.on_request[Door.PROVIDER] = self._relay.provider_door
        endpoint.on_request[Door.APP] = self._relay.app_door
        endpoint.strangers.trusted = self._relay.trusts
        endpoint.connectable = self._relay.connectable
        endpoint.on_flow_closed.append(self._relay.flow_closed)
        self._lifecycle.on_ended.append(self._relay.instance_gone)

    def _make_canary(self, ground: Ground) -> Canary:
        return Canary(Grounds(
            lifecycle=self._lifecycle, store=ground.store, vault=ground.vault, clock=self._clock,
            health=self.health, metrics=ground.metrics, diary=self._notary,
            places=partial(places, self._settings), wipes=wipes_freed(), entropy=self._entropy,
            every=self._settings.audit.canary_every,
        ))  # fmt: skip

    def _make_relay(self, ground: Ground, dispatcher: Dispatcher) -> Relay:
        return Relay(Surroundings(
            sip=ground.endpoint, names=ground.resolver, store=ground.store, vault=ground.vault,
            clock=self._clock, settings=self._settings, metrics=ground.metrics,
            announcer=dispatcher, sources=self._registrant.sources,
            proofs=self._lifecycle, entropy=self._entropy,
        ))  # fmt: skip

    async def _run_rooms(self, ground: Ground) -> None:
        """Start every room's own work; on the way out each is asked to stop before it is left."""
        self._group = group = await self._open.enter_async_context(asyncio.TaskGroup())
        upkeep = Upkeep(self._charges(ground), self._dated)
        group.create_task(ground.endpoint.run())
        tasks = [
            group.create_task(room)
            for room in (
                self._dispatcher.run(self._settings.apps),
                self._lifecycle.run(),
                self._registrant.run(),
                self._relay.run(),
                self._roller.run(),
                self._notary.run(),
                self._canary.run(),
                upkeep.run(),
            )
        ]

        async def leave() -> None:
            await self._registrant.stop()
            await ground.endpoint.stop()
            for task in tasks:
                task.cancel()
            await self._roller.finish()

        self._open.push_async_callback(leave)

    async def _listen(self, ground: Ground) -> None:
        settings, metrics = self._settings, ground.metrics
        instances = InstanceHandlers(
            self._lifecycle, self._app_keys, lambda: settings.apps, self._dated, self._relay_uris
        )
        inbox = InboxHandlers(self._lifecycle, self._relay)
        evidence = EvidenceHandlers(self._notary, ground.store)
        handlers = instances.handlers() | inbox.handlers() | evidence.handlers()
        public = public_app(settings.api, handlers, self._clock, metrics)
        self._api = HttpListener(public, settings.api, "api", self._clock, metrics)
        operators = AdminHandlers(self._lifecycle, ground.store, metrics, self.health, self._dated)
        canary = CanaryHandlers(self._canary, wipes=wipes_freed())
        auditor = AuditorHandlers(self._notary, checkpoints_of(settings), ground.store, self._dated)
        routes = operators.routes() + auditor.routes() + canary.routes()
        inner = admin_app(routes, self._admin_token, self._clock, metrics)
        self._admin = HttpListener(inner, settings.admin, "admin", self._clock, metrics)
        for listener in (self._admin, self._api):
            await listener.start()
            self._group.create_task(listener.run())
            self._open.push_async_callback(listener.stop)

    def _charges(self, ground: Ground) -> Charges:
        return Charges(
            store=ground.store,
            endpoint=ground.endpoint,
            files=self._followed(ground),
            metrics=ground.metrics,
            health=self.health,
            roller=self._roller,
            calls=lambda: self._relay.calls_now,
        )

    def _followed(self, ground: Ground) -> list[Followed]:
        """The files that may be replaced while the server runs."""
        apps, api = self._settings.apps, self._settings.api
        keys = [path for app in apps.values() for path in app.key_files]
        return [
            Followed(keys, self._app_keys.reload),
            Followed([self._admin_token.path], self._admin_token.reload),
            Followed(ground.certificates, ground.endpoint.reload_certificates),
            Followed([api.cert_file, api.key_file], self._new_api_certificate),
            *(
                Followed(push_files(it), partial(self._new_accounts, app))
                for app, it in apps.items()
            ),
        ]

    def _new_api_certificate(self) -> None:
        self._api.reload()

    def _new_accounts(self, app: str) -> None:
        """The app's keys at Apple or Google were replaced."""
        self._ground.accounts.reload(app)
        self._dispatcher.reloaded(app)

    def _read_admin_token(self) -> KeyFile:
        path = self._settings.admin.token_file
        if path is None:
            raise ConfigError("admin.token_file", "is needed")
        return KeyFile(path)

    def _relay_uris(self) -> tuple[str, ...]:
        """Where apps register: what the operator says, else the app listeners as they are."""
        if self._settings.sip.relay_uris:
            return self._settings.sip.relay_uris
        bound = [it for it in self._ground.endpoint.listening if it.door is Door.APP]
        bound.sort(key=lambda it: _PREFERENCE.index(it.transport))
        return tuple(
            f"sip:{_bracketed(it.host)}:{it.port};transport={it.transport.value}" for it in bound
        )


_PREFERENCE = [Transport.TLS, Transport.WSS, Transport.TCP, Transport.WS, Transport.UDP]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
