"""What an exchange is given: the rooms it works with, what is to be done, and where.

Refuses behaviour: these are the nouns of one attempt.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sipis.clock import Clock
from sipis.config import ProviderSettings
from sipis.registrant.bindings import Identity, Place
from sipis.registrant.politeness import Desk, Gate
from sipis.registrant.traces import Trace
from sipis.store.schedule import Claim
from sipis.transport.endpoint import Endpoint
from sipis.transport.targets import Target
from sipis.vault import OpenedAccount


@dataclass(frozen=True, slots=True)
class Means:
    """What every exchange works with. `learns`: the NAT's view of us counts (RFC 3581)."""

    endpoint: Endpoint
    clock: Clock
    entropy: Callable[[int], bytes]
    user_agent: str
    learns: bool


@dataclass(frozen=True, slots=True)
class Way:
    """An address that may be tried, and its gate."""

    target: Target
    gate: Gate


@dataclass(slots=True)
class Order:
    """What is to be done: `expires` 0 removes the binding, `trace` is what the last one left.

    `doubtful`: the account's credentials may well be refused.
    """

    claim: Claim
    desk: Desk
    doubtful: bool
    opened: OpenedAccount
    place: Place
    identity: Identity
    provider: ProviderSettings
    trace: Trace
    expires: int
    ways: list[Way]
