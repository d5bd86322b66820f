"""What happens to keys, for whoever writes it down (the transparency log).

Refuses to name instances: generations and counts are enough.
"""

from typing import Protocol


class KeyEvents(Protocol):
    """Who writes it down. Nothing waits for it to succeed: it keeps what it cannot write yet."""

    async def epoch_rolled(self, before: int, after: int) -> None:
        """The epoch key of generation `before` is gone; `after` is in force."""

    async def keyloss(self, instances: int) -> None:
        """The key slots were lost, and with them so many instances."""

    async def restored(self, instances: int) -> None:
        """So many rows had no key any more and were purged.

        The database is an older one, or deletions were cut off between key and row.
        """

    async def overridden(self, setting: str) -> None:
        """The operator has set a protection of the keys aside, by this setting."""


class Unrecorded:
    """Nobody writes it down."""

    async def epoch_rolled(self, before: int, after: int) -> None:
        """Forget it."""

    async def keyloss(self, instances: int) -> None:
        """Forget it."""

    async def restored(self, instances: int) -> None:
        """Forget it."""

    async def overridden(self, setting: str) -> None:
        """Forget it."""
