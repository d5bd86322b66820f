"""The receipt of a deletion: which commitment, why, in which minute, and what proves it.

Refuses finer times and any word that is not in its list of reasons: a receipt may be published.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sipis.model import DeletionReason

UNSIGNED: Final = "unsigned"
"""The key is destroyed; the log has not been told yet (a full disk)."""

PENDING: Final = "pending"
"""The log has been told; its signature follows."""

SIGNED: Final = "signed"
"""The proof is complete."""

_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof for the app that its credential was destroyed."""

    commitment: bytes
    reason: DeletionReason
    destroyed_at: int
    """Unix seconds, a whole minute."""
    signature: str = UNSIGNED
    leaf: str = field(default="", repr=False)
    """The line of the log that tells of it."""
    proof: str = field(default="", repr=False)
    """The whole receipt in the tlog-proof format of C2SP, checked without us."""

    def as_json(self) -> dict[str, str]:
        """What the store keeps of it; the proof is made anew when it is asked for."""
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
