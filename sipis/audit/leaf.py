"""Leaves of the log: what happened, in which minute, to which commitment. One JSON line each.

The kinds, and for each the fields it may have, are one table; keys stand in one fixed order.
Refuses everything else: no field can hold a name, a number, a token, an address or free text, and
no time is finer than a minute.
"""

import json
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from sipis.model import DeletionReason

_MINUTE: Final = 60
_NOTICE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Kind(StrEnum):
    """What a leaf tells."""

    CREATE = "create"
    REFRESH = "refresh"
    DESTROYED = "destroyed"
    EPOCH_ROLLED = "epoch_rolled"
    CENSUS = "census"
    CANARY_OK = "canary_ok"
    CANARY_FAIL = "canary_fail"
    RESTORE = "restore"
    CONFIG = "config"
    KEYLOSS = "keyloss"
    LOG_KEY = "log_key"


FIELDS: Final[dict[Kind, frozenset[str]]] = {
    Kind.CREATE: frozenset({"c", "deadline"}),
    Kind.REFRESH: frozenset({"c", "deadline"}),
    Kind.DESTROYED: frozenset({"c", "reason", "deadline", "lateness", "epoch_before"}),
    Kind.EPOCH_ROLLED: frozenset({"epoch_before", "epoch_after"}),
    Kind.CENSUS: frozenset({"count"}),
    Kind.CANARY_OK: frozenset({"c"}),
    Kind.CANARY_FAIL: frozenset({"c", "count"}),
    Kind.RESTORE: frozenset({"c", "count"}),
    Kind.CONFIG: frozenset({"notice"}),
    Kind.KEYLOSS: frozenset({"count"}),
    Kind.LOG_KEY: frozenset({"c"}),
}
"""The fields that a kind may have besides seq, type, minute and version."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One event; times are Unix seconds and are told to the minute. Order of fields is the line's.

    c: a commitment of 32 bytes; in `canary_…` that of the canary, in `log_key` the new public key,
    in `restore` the root of the last checkpoint of the log that was lost.
    lateness: seconds from the deadline to the destruction of the key, 0 when it came in time.
    epoch_before, epoch_after: generations of the epoch key. count: live instances in `census`,
    rows in `restore` and `keyloss`, findings in `canary_fail`. notice: a word of ours.
    """

    kind: Kind
    moment: float
    c: bytes | None = None
    reason: DeletionReason | None = None
    deadline: float | None = None
    lateness: int | None = None
    epoch_before: int | None = None
    epoch_after: int | None = None
    count: int | None = None
    notice: str | None = None

    def __post_init__(self) -> None:
        given = {it.name for it in fields(self)[2:] if getattr(self, it.name) is not None}
        if not given <= FIELDS[self.kind]:
            raise ValueError(f"a {self.kind} leaf has no {min(given - FIELDS[self.kind])}")
        if self.c is not None and len(self.c) != 32:
            raise ValueError("c must have 32 bytes")
        if self.notice is not None and not _NOTICE.fullmatch(self.notice):
            raise ValueError("notice must be a word")

    def line(self, seq: int, version: str) -> bytes:
        """The canonical line, without a newline; `version` is a hash of the software, in hex."""
        values: dict[str, str | int | None] = {
            "seq": seq,
            "type": self.kind.value,
            "minute": minute_of(self.moment),
            "c": None if self.c is None else self.c.hex(),
            "reason": None if self.reason is None else self.reason.value,
            "deadline": None if self.deadline is None else minute_of(self.deadline),
            "lateness": self.lateness,
            "epoch_before": self.epoch_before,
            "epoch_after": self.epoch_after,
            "count": self.count,
            "notice": self.notice,
            "version": version,
        }
        told = {key: value for key, value in values.items() if value is not None}
        return json.dumps(told, separators=(",", ":")).encode()


def minute_of(moment: float) -> str:
    """Unix seconds as a minute in UTC, such as 2027-01-15T08:00Z; seconds are cut off."""
    return _told(int(moment // _MINUTE) * _MINUTE)


@lru_cache(maxsize=1024)
def _told(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%MZ")


def created(c: bytes, now: float, deadline: float) -> Leaf:
    """An instance has begun, and will have ended by its deadline."""
    return Leaf(Kind.CREATE, now, c=c, deadline=deadline)


def refreshed(c: bytes, now: float, deadline: float) -> Leaf:
    """Its app has moved the deadline."""
    return Leaf(Kind.REFRESH, now, c=c, deadline=deadline)


def destroyed(c: bytes, reason: DeletionReason, now: float, deadline: float, epoch: int) -> Leaf:
    """The key of an instance was destroyed while this epoch key was in force."""
    lateness = max(0, int(now - deadline))
    return Leaf(
        Kind.DESTROYED, now, c=c, reason=reason, deadline=deadline, lateness=lateness,
        epoch_before=epoch,
    )  # fmt: skip


def rolled(now: float, before: int, after: int) -> Leaf:
    """A new epoch key is in force; whatever the old one wrapped and was destroyed is gone."""
    return Leaf(Kind.EPOCH_ROLLED, now, epoch_before=before, epoch_after=after)


def epoch_after(line: bytes) -> int:
    """The generation that the line of a roll put in force."""
    return int(json.loads(line)["epoch_after"])
