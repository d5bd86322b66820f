"""The lower rooms, opened: files, keys, sockets, push services. Everything above stands on them.

Refuses to open the second before the first holds: a missing key stops the start before any change.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sipis.app.accounts import Accounts, TrialProvider
from sipis.clock import Clock
from sipis.config import Settings
from sipis.errors import ConfigError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.push.apns import ApnsProvider
from sipis.push.dispatcher import Dispatcher
from sipis.push.fcm import FcmProvider
from sipis.relay.admission import instance_named_by
from sipis.store.runner import Runner, Store
from sipis.transport.endpoint import Endpoint
from sipis.transport.networks import NetworkPolicy
from sipis.transport.resolver import Resolver
from sipis.transport.settings import TransportSettings
from sipis.vault.medium import check_media
from sipis.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Ground:
    """What the upper rooms are built on."""

    settings: Settings
    metrics: Metrics
    policy: NetworkPolicy
    store: Store
    vault: Vault
    endpoint: Endpoint
    resolver: Resolver
    accounts: Accounts
    certificates: tuple[Path, ...]

    def dispatcher(self, clock: Clock, entropy: Callable[[int], bytes]) -> Dispatcher:
        """The push room with both services."""
        supervisor = Supervisor("push", clock, on_crash=self.metrics.crashed)
        apns = ApnsProvider(
            self.accounts.apns, clock=clock, spawner=supervisor, metrics=self.metrics
        )
        fcm = FcmProvider(self.accounts.fcm, clock=clock, spawner=supervisor)
        apps = self.settings.apps
        return Dispatcher(
            (TrialProvider(apns, apps), TrialProvider(fcm, apps)),
            clock=clock,
            supervisor=supervisor,
            metrics=self.metrics,
            entropy=entropy,
            jitter=lambda: int.from_bytes(entropy(2), "big") / 65_536,
        )


async def open_ground(
    settings: Settings, clock: Clock, entropy: Callable[[int], bytes], closing: AsyncExitStack
) -> Ground:
    """Open the lower rooms; `closing` closes them again. SipisError names what is wrong."""
    transport = TransportSettings.of(settings)
    accounts = Accounts(settings.apps)
    policy, metrics = transport.policy(), Metrics()
    directory = settings.store.directory
    check_media(settings)
    with _naming_files():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        vault = await asyncio.to_thread(Vault.open, settings.keys, directory, entropy=entropy)
        closing.callback(vault.close)
        store = await Runner.open(directory, clock)
        closing.push_async_callback(store.close)
    resolver = transport.resolver(clock=clock, policy=policy, entropy=entropy)
    return Ground(
        settings=settings,
        metrics=metrics,
        policy=policy,
        store=store,
        vault=vault,
        endpoint=transport.endpoint(
            clock=clock,
            policy=policy,
            entropy=entropy,
            metrics=metrics,
            instance_of=instance_named_by,
        ),
        resolver=resolver,
        accounts=accounts,
        certificates=_certificates(settings),
    )


@contextmanager
def _naming_files() -> Iterator[None]:
    """A file that cannot be made or opened is the operator's to mend: say which and why."""
    try:
        yield
    except OSError as failed:
        where = f"store or keys: {failed.filename}" if failed.filename else "store or keys"
        raise ConfigError(where, failed.strerror or "cannot be used") from None


def _certificates(settings: Settings) -> tuple[Path, ...]:
    files = [settings.sip.cert_file, settings.sip.key_file]
    files += [provider.ca_file for provider in settings.providers.values()]
    return tuple(file for file in files if file is not None)
