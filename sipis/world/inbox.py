"""What a push service of the world received, and a way to wait for it.

Refuses to poll: whoever waits is woken by the arrival itself.
"""

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """Everything that arrived, in order, and a cursor for whoever reads along."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._read = 0
        self._arrived = asyncio.Event()

    def put(self, item: Item) -> None:
        """Keep an arrival and wake whoever waits."""
        self.items.append(item)
        self._arrived.set()

    async def next(self) -> Item:
        """Return the first arrival that has not been read; wait for it if need be."""
        while self._read >= len(self.items):
            self._arrived.clear()
            await self._arrived.wait()
        self._read += 1
        return self.items[self._read - 1]

    async def count(self, number: int) -> None:
        """Return once that many have arrived in all."""
        while len(self.items) < number:
            self._arrived.clear()
            await self._arrived.wait()
