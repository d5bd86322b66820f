"""The world's FCM beside a test: whoever owns a token gets its pushes."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from sipis.clock import SystemClock
from sipis.world.fcm import Fcm
from sipis.world.tls import ThrowawayCa
from tests.support.beside import Beside

Push = Mapping[str, object]


class Google(Beside):
    """FCM itself: takes pushes and hands the `sipis` object of each to whoever owns the token."""

    def __init__(self, folder: Path, authority: ThrowawayCa) -> None:
        super().__init__()
        self._folder = folder
        self._authority = authority
        self._owners: dict[str, list[Callable[[Push], None]]] = defaultdict(list)
        self.settings: dict[str, object] = {}
        """What the section `apps.<id>.fcm` has to be."""

    def deliver(self, token: str, owner: Callable[[Push], None]) -> None:
        """From now on, pushes to that token go to that owner."""
        self._owners[token].append(owner)

    async def open(self, stack: AsyncExitStack) -> None:
        fcm = await stack.enter_async_context(Fcm(self._authority, clock=SystemClock()))
        self.settings = {
            "service_account_file": str(fcm.new_key().write(self._folder)),
            "base_url": fcm.base_url,
            "ca_file": str(self._authority.write_root(self._folder)),
        }
        stack.callback(asyncio.create_task(self._deliver(fcm)).cancel)

    async def _deliver(self, fcm: Fcm) -> None:
        while True:
            push = await fcm.pushes.next()
            sipis = json.loads(push.data["sipis"])
            for owner in self._owners[push.target]:
                owner(sipis)
