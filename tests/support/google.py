"""The world's FCM on a thread of its own, for tests that wait for other programs."""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from sipis.clock import SystemClock
from sipis.world.fcm import Fcm
from sipis.world.tls import ThrowawayCa

Push = Mapping[str, object]


class Google:
    """FCM itself: takes pushes and hands the `sipis` object of each to whoever owns the token."""

    def __init__(self, folder: Path, authority: ThrowawayCa) -> None:
        self._folder = folder
        self._authority = authority
        self.settings: dict[str, object] = {}
        self._owners: dict[str, list[Callable[[Push], None]]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="google", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20), "the world's FCM did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def deliver(self, token: str, owner: Callable[[Push], None]) -> None:
        """From now on, pushes to that token go to that owner."""
        self._owners[token].append(owner)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with Fcm(self._authority, clock=SystemClock()) as fcm:
            self.settings = {
                "service_account_file": str(fcm.new_key().write(self._folder)),
                "base_url": fcm.base_url,
                "ca_file": str(self._authority.write_root(self._folder)),
            }
            self._ready.set()
            delivery = asyncio.create_task(self._deliver(fcm))
            await self._stop.wait()
            delivery.cancel()

    async def _deliver(self, fcm: Fcm) -> None:
        while True:
            push = await fcm.pushes.next()
            sipis = json.loads(push.data["sipis"])
            for owner in self._owners[push.target]:
                owner(sipis)
