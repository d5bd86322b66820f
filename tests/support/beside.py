"""Services of the world on threads of their own, for tests that wait for other programs."""

import asyncio
import threading
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import Self

from sipis.world.dns import NameServer


class Beside(ABC):
    """Something that serves from an event loop beside the test; use it as a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20), f"{self._thread.name} did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    @abstractmethod
    async def open(self, stack: AsyncExitStack) -> None:
        """Start to serve; what the stack holds is ended in the end."""

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            await self.open(stack)
            self._ready.set()
            await self._stop.wait()


class Names(Beside):
    """A name server; `records` may be filled at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.records = NameServer()
        self.address = ""

    async def open(self, stack: AsyncExitStack) -> None:
        self.address = await self.records.start()
        stack.push_async_callback(self.records.stop)
