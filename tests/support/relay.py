"""A relay on loopback between two peers that say exactly what the test tells them to.

Time stands still (ManualClock), so that nothing is repeated and no timer rings unless the test
moves it; what comes over the sockets is awaited, within PATIENCE.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sipis.clock import ManualClock
from sipis.config import Settings, parse
from sipis.model import (
    Account,
    Environment,
    InstanceId,
    Mode,
    PushEvent,
    PushService,
    PushTarget,
    TargetKind,
)
from sipis.observe.metrics import Metrics
from sipis.push.provider import AddressedTarget, Notification
from sipis.relay.finding import Found, by_number
from sipis.relay.names import aor_name, target_name
from sipis.relay.service import Relay, Surroundings
from sipis.secret import Secret
from sipis.sip.flow import Door, Transport
from sipis.sip.uri import SipUri, parse_uri
from sipis.store import instances, targets
from sipis.store.inline import InlineRunner
from sipis.store.instances import NewInstance, Replacement
from sipis.store.targets import NewTarget
from sipis.transport.endpoint import Endpoint
from sipis.transport.networks import NetworkPolicy
from sipis.transport.targets import Listener, Target
from sipis.vault import PasswordCredential, RelayLogin
from sipis.vault.records import Targets
from tests.support.sip_peers import PATIENCE, REGISTRAR, Caller, Handset, Peer
from tests.support.vault import PASSWORD, open_vault

VOIP = PushTarget(PushService.APNS, TargetKind.VOIP, "0f" * 32, Environment.PRODUCTION)
ALERT = PushTarget(PushService.APNS, TargetKind.ALERT, "1e" * 32, Environment.PRODUCTION)


@dataclass(frozen=True)
class Accepted:
    accepted: int
    doubtful: int = 0


class Dispatcher:
    """Stands for the push room: keeps every notification, answers as told."""

    def __init__(self) -> None:
        self.accepts = True
        self.answers = True
        self.held: asyncio.Event | None = None
        self.sent: list[Notification] = []
        self._news = asyncio.Condition()

    async def announce(
        self,
        notification: Notification,
        targets: Sequence[AddressedTarget],
        on_accepted: Callable[[], None] | None = None,
    ) -> Accepted:
        async with self._news:
            self.sent.append(notification)
            self._news.notify_all()
        if self.held is not None:
            await self.held.wait()
        if not self.answers:
            return Accepted(0, len(targets))
        if self.accepts and on_accepted is not None:
            on_accepted()
        return Accepted(len(targets) if self.accepts else 0)

    def events(self) -> list[PushEvent]:
        return [notification.event for notification in self.sent]

    async def wait_for(self, event: PushEvent) -> Notification:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: event in self.events())
        return next(one for one in self.sent if one.event is event)


@dataclass
class KnownSources:
    """Stands for the registrant: one provider, known by its address."""

    hosts: set[str] = field(default_factory=lambda: {"127.0.0.1"})

    def is_known(self, registrar: str, host: str) -> bool:
        return registrar == REGISTRAR and host in self.hosts

    def registrars_of(self, host: str) -> list[str]:
        return [REGISTRAR] if host in self.hosts else []


class LiteralNames:
    """A resolver that knows literals alone."""

    async def resolve(self, uri: SipUri) -> list[Target]:
        transport = Transport(uri.transport or "udp")
        return [Target(transport, uri.host, uri.port or transport.default_port)]


@dataclass
class Lifecycle:
    """Stands for lifecycle: notes whose app has shown itself."""

    proven: list[InstanceId] = field(default_factory=list)

    async def app_registered(self, n: int, instance: InstanceId) -> None:
        self.proven.append(instance)


@dataclass
class House:
    """The relay with all that it needs, its peers still to come."""

    directory: Path
    settings: Settings
    clock: ManualClock = field(default_factory=ManualClock)
    sources: KnownSources = field(default_factory=KnownSources)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    metrics: Metrics = field(default_factory=Metrics)
    peers: list[Peer] = field(default_factory=list)
    logins: dict[int, RelayLogin] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def start(self) -> None:
        self.pushes = Dispatcher()
        self.store = InlineRunner(self.directory)
        self.vault = open_vault(self.directory)
        self.endpoint = Endpoint(
            clock=self.clock,
            listeners=[
                Listener.parse("udp:127.0.0.1:0", Door.PROVIDER),
                Listener.parse("udp:127.0.0.1:0", Door.APP),
            ],
            policy=NetworkPolicy(["127.0.0.0/8"]),
            entropy=os.urandom,
            user_agent="sipis",
        )
        self.relay = Relay(
            Surroundings(
                sip=self.endpoint,
                names=LiteralNames(),
                store=self.store,
                vault=self.vault,
                clock=self.clock,
                settings=self.settings,
                metrics=self.metrics,
                announcer=self.pushes,
                sources=self.sources,
                proofs=self.lifecycle,
                entropy=os.urandom,
            )
        )
        self.endpoint.on_request[Door.PROVIDER] = self.relay.provider_door
        self.endpoint.on_request[Door.APP] = self.relay.app_door
        self.endpoint.strangers.trusted = self.relay.trusts
        self.endpoint.connectable = self.relay.connectable
        self.endpoint.on_flow_closed.append(self.relay.flow_closed)
        await self.endpoint.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.endpoint.run()), loop.create_task(self.relay.run())]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def stop(self) -> None:
        for peer in self.peers:
            peer.close()
        self.peers.clear()
        await self.endpoint.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()
        self.vault.close()

    async def restart(self) -> None:
        """End the process, as it were, and start another one on the same files."""
        await self.stop()
        await self.start()

    def door(self, door: Door) -> tuple[str, int]:
        return next((one.host, one.port) for one in self.endpoint.listening if one.door is door)

    async def caller(self, host: str = "127.0.0.1") -> Caller:
        caller = await Caller.open(self.door(Door.PROVIDER), host)
        assert isinstance(caller, Caller)
        self.peers.append(caller)
        return caller

    async def handset(self, n: int) -> Handset:
        handset = await Handset.open(self.door(Door.APP))
        assert isinstance(handset, Handset)
        self.peers.append(handset)
        login = self.logins[n]
        handset.login = (login.username, login.password.reveal())
        return handset

    def is_awake(self, n: int) -> bool:
        """Whether the app of an instance has a flow to the relay."""
        return self.relay._bindings.find(n, self.clock.monotonic()) is not None

    async def found(self, n: int) -> Found:
        """The instance as the store has it now."""
        one = await self.store.read(by_number, n, self.clock.wall())
        assert one is not None
        return one

    async def reseal(self, n: int) -> Found:
        """Seal an instance anew, as a changed account or a retired password does."""
        before = await self.found(n)
        resealed = await self.vault.readmit(before.sealed, targets=Targets((VOIP, ALERT)))
        rows = tuple(
            NewTarget(row.index, row.provider, row.kind, row.environment) for row in before.targets
        )
        credential, sealed_targets = resealed.credential, resealed.targets
        new = Replacement(resealed.slot, resealed.version, credential, sealed_targets, rows)
        await self.store.write(instances.replace, n, new, self.clock.wall())
        await self.vault.destroy([before.row])
        return before

    async def enable(
        self,
        aor: str = f"sip:alice@{REGISTRAR}",
        push_targets: Sequence[PushTarget] = (VOIP, ALERT),
        *,
        verified: bool = True,
        **changes: object,
    ) -> "Phone":
        """An instance; returns its number and the URI that its provider calls."""
        number = next(self.numbers)
        instance = InstanceId(f"{number:032x}")
        login = RelayLogin(f"{number + 160:032x}", Secret("5e" * 32), "sipis")
        sealed = await self.vault.admit(
            id=instance,
            app="phone",
            account=Account(aor),
            credential=PasswordCredential(Secret(PASSWORD)),
            targets=push_targets,
            push_key=None,
            relay=login,
        )
        token = f"{number + 3200:032x}"
        now = self.clock.wall()
        values: dict[str, object] = {
            "id": instance,
            "app": "phone",
            "secret_hash": number.to_bytes(32),
            "mode": Mode.CONTINUOUS,
            "created_at": now,
            "expires_at": now + 86_400,
            "ttl": 86_400.0,
            "slot": sealed.slot,
            "version": sealed.version,
            "sealed_credential": sealed.credential,
            "sealed_targets": sealed.targets,
            "contact_token": token,
            "call_id": f"{number + 64000:032x}",
            "relay_user": login.username,
            "registrar": REGISTRAR,
            "aor_index": self.vault.index(aor_name(parse_uri(aor))),
            "commitment": number.to_bytes(32),
            "targets": tuple(
                NewTarget(
                    self.vault.index(target_name(one)), one.provider, one.kind, one.environment
                )
                for one in push_targets
            ),
            **changes,
        }
        n = await self.store.write(instances.insert, NewInstance(**values))  # type: ignore[arg-type]
        if verified:
            await self.store.write(targets.mark_verified, n)
        self.logins[n] = login
        return Phone(n, instance, f"sip:{token}@127.0.0.1")


@dataclass(frozen=True)
class Phone:
    """An enabled instance: number, name, and the Contact that its provider calls."""

    n: int
    id: InstanceId
    contact: str


@asynccontextmanager
async def a_house(directory: Path, **settings: object) -> AsyncIterator[House]:
    house = House(directory, parse({"apps": {"phone": {}}, **settings}))
    await house.start()
    try:
        yield house
    finally:
        await house.stop()


async def turns(count: int = 50) -> None:
    """Let the loop work off what it has."""
    for _ in range(count):
        await asyncio.sleep(0)
