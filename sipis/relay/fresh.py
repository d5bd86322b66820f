"""An instance that is sealed anew moves to another key slot: a row read before no longer opens.

Refuses to try the same key twice: when the row has not moved, the record is broken or the key gone.
"""

from collections.abc import Callable
from typing import TypeVar

from sipis.errors import VaultError
from sipis.relay.finding import Found, by_number
from sipis.store.runner import Store

T = TypeVar("T")


async def with_fresh(store: Store, now: float, found: Found, use: Callable[[Found], T]) -> T:
    """What `use` makes of the instance, read again if it was sealed anew meanwhile.

    `now` is Unix seconds. Raises VaultError when the instance has ended or its record is broken.
    """
    while True:
        try:
            return use(found)
        except VaultError:
            fresh = await store.read(by_number, found.n, now)
            if fresh is None or fresh.row.slot == found.row.slot:
                raise
            found = fresh
