"""Where one room's words meet another's: adapters of a few lines each.

Refuses to decide: each passes on what it was told.
"""

from collections.abc import Callable, Sequence

from sipis.app.rooms import Ground
from sipis.clock import Clock
from sipis.lifecycle.service import Lifecycle
from sipis.model import Environment, InstanceState
from sipis.push.outcome import DeadTarget
from sipis.push.provider import AddressedTarget
from sipis.registrant.sources import Sources
from sipis.relay.names import target_name
from sipis.sip.flow import Flow
from sipis.store import targets


class LateObserver:
    """The registrant's observer: lifecycle, which is made after the registrant."""

    def __init__(self, lifecycle: Callable[[], Lifecycle]) -> None:
        self._lifecycle = lifecycle

    def on_state(self, n: int, state: InstanceState, reason: str) -> None:
        """Pass it on."""
        self._lifecycle().on_state(n, state, reason)

    def on_proven(self, n: int, realm: str) -> None:
        """Pass it on."""
        self._lifecycle().on_proven(n, realm)

    def on_unopenable(self, n: int) -> None:
        """Pass it on."""
        self._lifecycle().on_unopenable(n)


class Fates:
    """What became of push targets, from the dispatcher to lifecycle."""

    def __init__(self, lifecycle: Lifecycle, ground: Ground, clock: Clock) -> None:
        self._lifecycle = lifecycle
        self._store = ground.store
        self._vault = ground.vault
        self._clock = clock

    async def target_died(self, _instance: str, target: AddressedTarget, reason: str) -> None:
        """The dispatcher has compared the times; lifecycle compares the tokens."""
        self._lifecycle.target_died(target, DeadTarget(reason))

    async def target_worked(
        self, _instance: str, target: AddressedTarget, _environment: Environment
    ) -> None:
        """The token works: what a service says against it later weighs less."""
        index = self._vault.index(target_name(target.target))
        await self._store.write(targets.mark_ok, target.n, index, self._clock.wall())


class KnownSources:
    """Where providers' requests come from, as the relay asks the registrant."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def is_known(self, registrar: str, host: str) -> bool:
        """Whether this IP literal may speak for the registrar."""
        return self._sources.is_known(registrar, host)

    def registrars_of(self, host: str) -> Sequence[str]:
        """The registrars that this IP literal may speak for."""
        return self._sources.registrars_of(host)

    def owner_of(self, flow: Flow) -> int | None:  # noqa: ARG002 - no flow is one instance's alone
        """Whose flow it is: calls are told apart by our Contact's user part, not by their flow."""
        return None
