"""Lifecycle on an inline store and vault and a manual clock, with recording neighbours."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from sipis.clock import Clock, ManualClock
from sipis.config import Settings, parse
from sipis.errors import StoreError
from sipis.lifecycle import Enabled, EnableOrder, Lifecycle
from sipis.model import PushEvent
from sipis.observe.metrics import Metrics
from sipis.push.provider import AddressedTarget, Notification
from sipis.registrant.farewell import Farewell
from sipis.secret import Secret
from sipis.store import lookup
from sipis.store.inline import InlineRunner
from sipis.store.lookup import InstanceRow
from sipis.store.runner import Store
from sipis.transport.networks import NetworkPolicy
from sipis.vault import PasswordCredential, Vault
from tests.support.vault import ACCOUNT, PASSWORD, TOKEN, VOIP, open_vault

APP = "com.example.phone"


@dataclass
class Registrations:
    """A registrant that notes what it is asked for, in the order of `journal`."""

    journal: list[str]
    woken: list[int] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)
    withdrawn: list[int] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    barred: set[int] = field(default_factory=set)
    stuck: asyncio.Event | None = None

    def wake(self, n: int) -> None:
        self.woken.append(n)

    def abort(self, n: int) -> None:
        self.aborted.append(n)

    async def withdraw(self, n: int) -> None:
        self.withdrawn.append(n)

    async def prepare_farewells(self, ns: Sequence[int]) -> list[Farewell]:
        self.journal.append("farewells written")
        self.barred.update(ns)
        if self.stuck is not None:
            await self.stuck.wait()
        return cast(list[Farewell], [f"farewell {n}" for n in ns])

    def let_go(self, ns: Sequence[int]) -> None:
        self.barred.difference_update(ns)

    async def prepare_move(self, n: int) -> list[Farewell]:
        self.journal.append("move written")
        return cast(list[Farewell], [f"move {n}"])

    def send_farewells(self, farewells: Sequence[Farewell]) -> None:
        self.journal.append("farewells sent")
        self.sent += cast(Sequence[str], farewells)


@dataclass(frozen=True)
class Report:
    accepted: int


@dataclass
class Announcer:
    """A dispatcher that keeps what it was to push."""

    pushed: list[tuple[Notification, tuple[AddressedTarget, ...]]] = field(default_factory=list)

    async def announce(
        self, notification: Notification, targets: Sequence[AddressedTarget]
    ) -> Report:
        self.pushed.append((notification, tuple(targets)))
        return Report(len(targets))

    def events(self) -> list[PushEvent]:
        return [notification.event for notification, _ in self.pushed]


@dataclass
class House:
    """One lifecycle with everything around it."""

    lifecycle: Lifecycle
    store: InlineRunner
    vault: Vault
    clock: ManualClock
    settings: Settings
    metrics: Metrics
    registrations: Registrations
    announcer: Announcer
    journal: list[str]
    directory: Path

    def bytes_on_disk(self) -> bytes:
        """Every file of the data directory, logs of the database included, save the key slots."""
        return b"".join(p.read_bytes() for p in self.directory.iterdir() if p.name != "slots")

    async def enable(self, **changes: object) -> Enabled:
        """Enable an instance of the ordinary kind."""
        enabled = await self.lifecycle.enable(order(**changes))
        assert isinstance(enabled, Enabled)
        return enabled

    async def row(self, enabled: Enabled) -> InstanceRow | None:
        """The instance as it is now."""
        return await self.store.read(lookup.by_n, enabled.row.n, self.clock.wall())

    def note(self, word: str, owner: object, name: str) -> None:
        """Write a word into the journal whenever a method of this house's store or vault runs."""
        original: Callable[..., object] = getattr(owner, name)

        def noted(*args: object, **kwargs: object) -> object:
            self.journal.append(word)
            return original(*args, **kwargs)

        setattr(owner, name, noted)


async def full_disk(*_: object, **__: object) -> None:
    """Stands for a job of the store on a disk that takes no more."""
    raise StoreError("database or disk is full")


def order(**changes: object) -> EnableOrder:
    """An ordinary order, with changes."""
    values: dict[str, object] = {
        "app": APP,
        "account": ACCOUNT,
        "credential": PasswordCredential(Secret(PASSWORD)),
        "targets": (VOIP, TOKEN),
    }
    return EnableOrder(**(values | changes))  # type: ignore[arg-type]


def settings(directory: Path, **app: object) -> Settings:
    """Settings of the server `home` with one app that has both push services."""
    apns = {"team_id": "T", "key_id": "K", "key_file": str(directory / "k.p8"), "topic": "t"}
    fcm = {"service_account_file": str(directory / "f.json")}
    return parse({"api": {"node": "home"}, "apps": {APP: {"apns": apns, "fcm": fcm} | app}})


def build_on(
    store: Store, vault: Vault, clock: Clock, chosen: Settings, metrics: Metrics | None = None
) -> tuple[Lifecycle, Registrations, Announcer]:
    """A lifecycle on a given store and vault, with recording neighbours."""
    lifecycle = Lifecycle(
        store=store,
        vault=vault,
        clock=clock,
        settings=chosen,
        policy=NetworkPolicy(),
        metrics=metrics or Metrics(),
        entropy=os.urandom,
    )
    registrations, announcer = Registrations([]), Announcer()
    lifecycle.join(registrations, announcer)
    return lifecycle, registrations, announcer


def build(directory: Path, clock: ManualClock, chosen: Settings) -> House:
    """Open store and vault in the directory and join them."""
    directory.mkdir(exist_ok=True)
    store, vault, metrics = InlineRunner(directory), open_vault(directory), Metrics()
    lifecycle, registrations, announcer = build_on(store, vault, clock, chosen, metrics)
    return House(
        lifecycle,
        store,
        vault,
        clock,
        chosen,
        metrics,
        registrations,
        announcer,
        registrations.journal,
        directory,
    )


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    """Run it for the length of the block, then close store and vault."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(house.lifecycle.run())
            await house.clock.advance(0.1)
            try:
                yield house
            finally:
                house.lifecycle.stop()
    finally:
        await house.store.close()
        house.vault.close()
