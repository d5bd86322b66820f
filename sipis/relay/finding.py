"""What is known of the instance that a request is for, read in one job.

Refuses to open anything: records come out as they lie, sealed.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sipis.model import InstanceId
from sipis.store import gone, lookup, targets
from sipis.store.gone import GoneContact
from sipis.store.lookup import InstanceRow, Sealed
from sipis.store.targets import TargetRow


@dataclass(frozen=True, slots=True)
class Found:
    """An instance with its sealed records and its live push targets."""

    row: InstanceRow
    sealed: Sealed
    targets: tuple[TargetRow, ...]

    @property
    def n(self) -> int:
        """Its number."""
        return self.row.n

    @property
    def id(self) -> InstanceId:
        """Its public name."""
        return self.row.id

    @property
    def app(self) -> str:
        """The app that it belongs to."""
        return self.row.app


def by_tokens(
    conn: sqlite3.Connection, tokens: Sequence[str], now: float
) -> Found | GoneContact | None:
    """The instance of the first token that is one, live or gone."""
    for token in tokens:
        found = _complete(conn, lookup.by_contact_token(conn, token, now), now)
        if found is not None:
            return found
    gone_ones = (gone.contact(conn, token, now) for token in tokens)
    return next((one for one in gone_ones if one is not None), None)


def by_number(conn: sqlite3.Connection, n: int, now: float) -> Found | None:
    """The instance of that number."""
    return _complete(conn, lookup.by_n(conn, n, now), now)


def alone_on(conn: sqlite3.Connection, flow: int, now: float) -> Found | None:
    """The instance that has a connection of ours for itself."""
    return _complete(conn, lookup.alone_on(conn, flow, now), now)


def by_relay_user(conn: sqlite3.Connection, user: str, now: float) -> Found | None:
    """The instance whose app logs in under that name."""
    return _complete(conn, lookup.by_relay_user(conn, user, now), now)


def by_aors(
    conn: sqlite3.Connection, indexes: Sequence[bytes], registrars: Sequence[str], now: float
) -> list[Found]:
    """The instances of the first AoR that any of these registrars has, oldest first."""
    for index in indexes:
        for registrar in registrars:
            rows = lookup.by_aor(conn, index, registrar, now)
            found = [_complete(conn, row, now) for row in rows]
            complete = [one for one in found if one is not None]
            if complete:
                return complete
    return []


def _complete(conn: sqlite3.Connection, row: InstanceRow | None, now: float) -> Found | None:
    sealed = None if row is None else lookup.sealed(conn, row.n, now)
    if row is None or sealed is None:
        return None
    live = [target for target in targets.list_for(conn, row.n) if not target.dead]
    return Found(row, sealed, tuple(live))
