"""What every part of lifecycle is handed.

Refuses state of an instance: that is in the store alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sipis.clock import Clock
from sipis.config import Settings
from sipis.lifecycle.calendar import Calendar
from sipis.lifecycle.locks import KeyedLocks
from sipis.lifecycle.ports import Announcer, HostPolicy, Registrations
from sipis.model import InstanceId
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.store.runner import Store
from sipis.vault import Vault
from sipis.vault.events import KeyEvents, Unrecorded


@dataclass(slots=True)
class Means:
    """Shared by all parts. `jobs` runs what must not be cut short, and what follows an answer.

    `registrations` and `announcer` know lifecycle in their turn and are set when they are there.
    """

    store: Store
    vault: Vault
    clock: Clock
    calendar: Calendar
    settings: Settings
    policy: HostPolicy
    metrics: Metrics
    jobs: Supervisor
    entropy: Callable[[int], bytes]
    key_events: KeyEvents = field(default_factory=Unrecorded)
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    registrations: Registrations = field(init=False)
    announcer: Announcer = field(init=False)
    on_ended: list[Callable[[int], None]] = field(default_factory=list)
    """Told the number of an instance as soon as its keys are gone."""

    def name(self) -> str:
        """A fresh random name: 32 hex digits."""
        return self.entropy(16).hex()


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose key is in which slot."""

    id: InstanceId
    app: str
    slot: int
