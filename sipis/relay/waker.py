"""Wakes the phone of an instance, and tells it when there is nothing to wake for any more.

Refuses a VoIP push for anything but a ringing call: iOS would show a call that is none. Which
target gets which event is the push room's table. Refuses unproven targets where the app's settings
ask for proof.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sipis.clock import Clock
from sipis.config import Settings
from sipis.errors import VaultError
from sipis.model import PushEvent, TargetKind
from sipis.push import payload
from sipis.push.provider import AddressedTarget, Notification
from sipis.relay.addressing import addressed
from sipis.relay.finding import Found
from sipis.relay.fresh import with_fresh
from sipis.relay.ports import Announcer
from sipis.store.runner import Store
from sipis.store.targets import TargetRow
from sipis.vault import Vault
from sipis.vault.records import Targets

HOUSEKEEPING_WINDOW: Final = 600.0
"""Seconds for which a push about anything but a ringing call is worth retrying."""


@dataclass(frozen=True, slots=True)
class Tidings:
    """One thing to tell a phone; `window` is seconds from now."""

    event: PushEvent
    window: float = HOUSEKEEPING_WINDOW
    call: str | None = None
    message: str | None = None
    sender: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    collapse: str | None = None
    urgent: bool = False
    since: float | None = None
    """When the INVITE came that it announces (monotonic)."""


class Waker:
    """Makes a notification of what there is to tell, and has it announced."""

    def __init__(
        self,
        *,
        announcer: Announcer,
        store: Store,
        vault: Vault,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._announcer = announcer
        self._store = store
        self._vault = vault
        self._clock = clock
        self._settings = settings

    async def tell(
        self, found: Found, tidings: Tidings, on_accepted: Callable[[], None] | None = None
    ) -> bool:
        """Push to the targets of an instance; False when no push service can have taken it.

        `on_accepted` is called as soon as the first one has.
        """
        known = await self._opened(found)
        if known is None:
            return False
        found, opened = known
        targets = self._addressed(found, opened)
        if not targets:
            return False
        notification = self._notification(found, opened, tidings)
        report = await self._announcer.announce(notification, targets, on_accepted)
        return report.accepted + report.doubtful > 0

    async def _opened(self, found: Found) -> tuple[Found, Targets] | None:
        def opened(one: Found) -> tuple[Found, Targets]:
            return one, self._vault.open_targets(one.sealed)

        try:
            return await with_fresh(self._store, self._clock.wall(), found, opened)
        except VaultError:
            return None

    def _notification(self, found: Found, opened: Targets, tidings: Tidings) -> Notification:
        facts = payload.Facts(
            event=tidings.event,
            instance=found.id,
            node=self._settings.api.node,
            sent_at=self._clock.wall(),
            deadline=self._clock.wall() + tidings.window,
            call=tidings.call,
            message=tidings.message,
            sender=tidings.sender,
            text=tidings.text,
        )
        composed = payload.compose(
            facts,
            push_key=opened.push_key,
            preview=found.row.preview,
            limit=payload.limit_for(opened.targets),
        )
        return Notification(
            instance=found.id,
            app=found.app,
            event=tidings.event,
            payload=composed,
            deadline=self._clock.monotonic() + tidings.window,
            call=tidings.call,
            collapse=tidings.collapse,
            urgent=tidings.urgent,
            since=tidings.since,
        )

    def _addressed(self, found: Found, opened: Targets) -> Sequence[AddressedTarget]:
        """The targets that have a live row and, where the app asks for it, a proof."""
        return addressed(opened.targets, self._proven(found), self._vault)

    def _proven(self, found: Found) -> Sequence[TargetRow]:
        """A VoIP token is proven by its sibling: a code by VoIP push would show as a call."""
        settings = self._settings.apps.get(found.app)
        if settings is not None and not settings.require_verification:
            return found.targets
        sibling = any(row.verified for row in found.targets)
        return [
            row
            for row in found.targets
            if row.verified or (sibling and row.kind is TargetKind.VOIP)
        ]
