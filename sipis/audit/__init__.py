"""Evidence of deletion that holds without trusting us: commitments, a transparency log, receipts.

Refuses personal data: what is here names nobody, and times are whole minutes. While an instance
lives its commitment can be tied to it; afterwards only the holder of the opening can do so.
"""

from sipis.audit.commitment import Opening, new_opening
from sipis.audit.notary import LogSettings, Notary, Surroundings
from sipis.audit.receipt import PENDING, SIGNED, UNSIGNED, Receipt, receipt_for

__all__ = [
    "PENDING",
    "SIGNED",
    "UNSIGNED",
    "LogSettings",
    "Notary",
    "Opening",
    "Receipt",
    "Surroundings",
    "new_opening",
    "receipt_for",
]
