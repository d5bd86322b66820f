"""What lifecycle itself tells an app: a code to prove its token, that it expires, that it has.

Refuses to open anything for a message that nobody will get, and never pushes to PushKit tokens but
through the push room's own table, which keeps them for calls.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sipis.errors import VaultError
from sipis.lifecycle.means import Means
from sipis.lifecycle.ports import Report
from sipis.model import PushEvent
from sipis.push import payload
from sipis.push.provider import AddressedTarget, Notification
from sipis.relay.addressing import addressed
from sipis.store import lookup, targets
from sipis.store.lookup import Sealed
from sipis.store.targets import TargetRow

WINDOW: Final = 600.0
"""Seconds for which a message of lifecycle is worth retrying."""

WHILE_IT_LIVED: Final = 1_200_000_000.0
"""Unix seconds before any expiry: with it, look-ups find rows that have expired."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notification with its addressees, ready to be sent when the key is gone."""

    notification: Notification = field(repr=False)
    targets: tuple[AddressedTarget, ...] = field(repr=False)


class Herald:
    """Composes and announces."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def tell(self, n: int, event: PushEvent, *, code: str | None = None) -> Report | None:
        """Push an event to all targets that may carry it; None when there is nobody to tell."""
        message = await self.compose(n, event, code=code)
        return None if message is None else await self.announce(message)

    async def announce(self, message: Message) -> Report:
        """Hand a message to the push services."""
        return await self._means.announcer.announce(message.notification, message.targets)

    async def compose(self, n: int, event: PushEvent, *, code: str | None = None) -> Message | None:
        """Open the targets of an instance, expired or not, and write the message to them."""
        sealed, rows = await self._means.store.read(_addressees, n)
        if sealed is None:
            return None
        try:
            opened = self._means.vault.open_targets(sealed)
        except VaultError:
            return None
        addressees = addressed(opened.targets, rows, self._means.vault)
        return Message(self._notification(sealed, event, code), addressees) if addressees else None

    def _notification(self, sealed: Sealed, event: PushEvent, code: str | None) -> Notification:
        now = self._means.calendar.now()
        facts = payload.Facts(
            event=event,
            instance=sealed.id,
            node=self._means.settings.api.node,
            sent_at=now,
            deadline=now + WINDOW,
            code=code,
        )
        return Notification(
            instance=sealed.id,
            app=sealed.app,
            event=event,
            payload=payload.compose(facts),
            deadline=self._means.clock.monotonic() + WINDOW,
            collapse=event.value,
        )


def _addressees(conn: sqlite3.Connection, n: int) -> tuple[Sealed | None, Sequence[TargetRow]]:
    return lookup.sealed(conn, n, WHILE_IT_LIVED), targets.list_for(conn, n)
