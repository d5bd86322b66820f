"""An instance that is sealed anew moves to another key slot: a row read before no longer opens.

Refuses to try the same key twice: when the version is the same, the record is broken or the key
gone. The slot says nothing, for a freed one may be taken again.
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
            if fresh is None or fresh.row.version == found.row.version:
                raise
            found = fresh
