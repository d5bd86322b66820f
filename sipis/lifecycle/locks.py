"""A lock per key, made when it is wanted and forgotten when nobody wants it.

Refuses to grow: it holds as many locks as there are callers inside.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager


class KeyedLocks:
    """One at a time for each key."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def holding(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the key and keep it for the length of the block."""
        await self._enter(key)
        try:
            yield
        finally:
            self._leave(key)

    @asynccontextmanager
    async def holding_all(self, keys: Iterable[int]) -> AsyncIterator[None]:
        """Keep all of them, entered in ascending order: nobody waits in a circle."""
        held: list[int] = []
        try:
            for key in sorted(keys):
                await self._enter(key)
                held.append(key)
            yield
        finally:
            for key in held:
                self._leave(key)

    async def _enter(self, key: Hashable) -> None:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._forget(key)
            raise

    def _leave(self, key: Hashable) -> None:
        self._locks[key][0].release()
        self._forget(key)

    def _forget(self, key: Hashable) -> None:
        lock, users = self._locks[key]
        if users == 1:
            del self._locks[key]
        else:
            self._locks[key] = (lock, users - 1)
