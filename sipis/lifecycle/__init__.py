"""The life of an instance, from enabling to its last trace: the only writer of it.

Every reason to delete takes one path: what must still be said is prepared, the key is destroyed,
the row is erased, the files are emptied of it, the receipt is given out; what was prepared is sent
after that or dropped.
Refuses to talk SIP or HTTP and to keep a secret: bearer secrets and codes are stored as hashes.
"""

from sipis.lifecycle.orders import (
    Conflict,
    Deleted,
    Enabled,
    EnableOrder,
    Export,
    Full,
    ReplaceOrder,
    TooManyAttempts,
)
from sipis.lifecycle.ports import Announcer, HostPolicy, Registrations
from sipis.lifecycle.service import Lifecycle

__all__ = [
    "Announcer",
    "Conflict",
    "Deleted",
    "EnableOrder",
    "Enabled",
    "Export",
    "Full",
    "HostPolicy",
    "Lifecycle",
    "Registrations",
    "ReplaceOrder",
    "TooManyAttempts",
]
