"""Evidence of deletion that holds without trusting us: commitments and receipts.

Refuses personal data: what is here names nobody, and times are whole minutes. While an instance
lives its commitment can be tied to it; afterwards only the holder of the opening can do so.
"""

from sipis.audit.commitment import Opening, new_opening
from sipis.audit.receipt import UNSIGNED, Receipt, receipt_for

__all__ = ["UNSIGNED", "Opening", "Receipt", "new_opening", "receipt_for"]
