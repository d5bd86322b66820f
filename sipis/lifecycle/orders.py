"""What apps ask of lifecycle, and what they get.

Refuses behaviour. Expected outcomes are values here; bad input is a FieldError.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from sipis.audit import Opening, Receipt
from sipis.model import Account, Mode, PushTarget
from sipis.store.lookup import InstanceRow
from sipis.vault import Credential, RelayLogin


@dataclass(frozen=True, slots=True)
class EnableOrder:
    """A new instance; `ttl` in seconds, the default when None, never above the cap."""

    app: str
    account: Account = field(repr=False)
    credential: Credential = field(repr=False)
    targets: tuple[PushTarget, ...] = field(repr=False)
    ttl: float | None = None
    mode: Mode = Mode.CONTINUOUS
    push_key: bytes | None = field(default=None, repr=False)
    preview: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ReplaceOrder:
    """What to change; None stays as it is. An account comes with its credential."""

    account: Account | None = field(default=None, repr=False)
    credential: Credential | None = field(default=None, repr=False)
    targets: tuple[PushTarget, ...] | None = field(default=None, repr=False)
    ttl: float | None = None
    mode: Mode | None = None
    push_key: bytes | None = field(default=None, repr=False)
    preview: bool | None = None


@dataclass(frozen=True, slots=True)
class Enabled:
    """An instance and all that only its app may know; told once."""

    row: InstanceRow = field(repr=False)
    secret: str = field(repr=False)
    relay: RelayLogin = field(repr=False)
    opening: Opening = field(repr=False)


class Conflict(StrEnum):
    """Why an Idempotency-Key is not honoured."""

    DELETED = "deleted"
    """Its instance was deleted: a captured request must not revive it."""
    MISMATCH = "mismatch"
    """It was used for another account."""


@dataclass(frozen=True, slots=True)
class Full:
    """The app has as many instances as it may have."""


@dataclass(frozen=True, slots=True)
class TooManyAttempts:
    """So many wrong codes came that the right one is void; the next refresh brings another."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The credential is destroyed."""

    receipt: Receipt
    pending: bool = False
    """Its row could not be erased yet (a full disk); that is tried again until it succeeds."""


@dataclass(frozen=True, slots=True)
class Export:
    """All that is held about an instance, save what proves the account."""

    row: InstanceRow = field(repr=False)
    account: Account = field(repr=False)
    targets: tuple[PushTarget, ...] = field(repr=False)
    push_key: bytes | None = field(default=None, repr=False)
