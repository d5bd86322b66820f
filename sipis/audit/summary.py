"""What the log shows at a glance, at the same price for any size of it.

Refuses to reckon anew: it reads the counts that were kept with every leaf.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from sipis.audit.chronicle import LATENESS, LATENESS_CLASSES
from sipis.audit.leaf import Kind
from sipis.model import DeletionReason
from sipis.store import apps, leaves

DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Day:
    """The deletions of one day (UTC) by reason."""

    day: str
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class Event:
    """The newest leaf of a kind: its minute, the number that matters in it, and its own."""

    minute: str
    value: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """The log at a glance. `live` is counted in the tables, `owed` in the log: they must agree."""

    leaves: int
    live: int
    owed: int
    created: int
    destroyed: int
    reasons: dict[str, int]
    lateness: dict[str, int]
    days: tuple[Day, ...]
    epoch: Event | None
    rolls: int
    canary: Event | None
    canary_failed: Event | None
    census: Event | None


def summarize(conn: sqlite3.Connection, since: str) -> Summary:
    """Everything ever, and the days from `since` (a date) on."""
    totals = leaves.totals(conn)
    created, destroyed = totals.get(Kind.CREATE, 0), totals.get(Kind.DESTROYED, 0)
    return Summary(
        leaves=leaves.size(conn),
        live=sum(app.instances for app in apps.counts(conn).values()),
        owed=created - destroyed,
        created=created,
        destroyed=destroyed,
        reasons={it.value: totals.get(f"{Kind.DESTROYED}/{it}", 0) for it in DeletionReason},
        lateness={name: totals.get(f"{LATENESS}/{name}", 0) for name in LATENESS_CLASSES},
        days=_days(conn, since),
        epoch=_newest(conn, Kind.EPOCH_ROLLED, "epoch_after"),
        rolls=totals.get(Kind.EPOCH_ROLLED, 0),
        canary=_newest(conn, Kind.CANARY_OK),
        canary_failed=_newest(conn, Kind.CANARY_FAIL, "count"),
        census=_newest(conn, Kind.CENSUS, "count"),
    )


def _days(conn: sqlite3.Connection, since: str) -> tuple[Day, ...]:
    days: dict[str, dict[str, int]] = {}
    for count in leaves.counts(conn, since):
        if count.kind == Kind.DESTROYED:
            days.setdefault(count.day, {})[count.detail] = count.leaves
    return tuple(Day(day, reasons) for day, reasons in sorted(days.items()))


def _newest(conn: sqlite3.Connection, kind: Kind, field: str = "") -> Event | None:
    line = leaves.newest(conn, kind.value)
    if line is None:
        return None
    leaf = json.loads(line)
    return Event(leaf["minute"], leaf.get(field, 0), leaf["seq"])
