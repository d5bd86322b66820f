"""The receipt of a deletion: which commitment, why, in which minute.

Refuses finer times and any word that is not in its list of reasons: a receipt may be published.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sipis.model import DeletionReason

UNSIGNED: Final = "unsigned"
"""Stands in the place of a signature where no log vouches for the receipt."""
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof for the app that its credential was destroyed."""

    commitment: bytes
    reason: DeletionReason
    destroyed_at: int
    """Unix seconds, a whole minute."""
    signature: str = UNSIGNED

    def as_json(self) -> dict[str, str]:
        """The receipt as the API shows it."""
        moment = datetime.fromtimestamp(self.destroyed_at, UTC)
        return {
            "commitment": self.commitment.hex(),
            "reason": self.reason.value,
            "destroyed_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "signature": self.signature,
        }


def receipt_for(commitment: bytes, reason: DeletionReason, moment: float) -> Receipt:
    """The receipt of a key destroyed at `moment` (Unix seconds), told to the minute."""
    return Receipt(commitment, reason, int(moment // _MINUTE) * _MINUTE)
