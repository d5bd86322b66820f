"""Time that a whole server lives by in a test, and a look below its floor."""

import time
from collections.abc import Callable

from sipis.app.server import Server
from sipis.clock import Alarm, SystemClock
from sipis.store import lookup, timing
from sipis.store.lookup import InstanceRow
from sipis.world.handset import Handset
from tests.scenarios.conftest import Town


class OtherClock(SystemClock):
    """The machine's clock, running faster, and ahead by so many seconds."""

    def __init__(self, *, faster: float = 1.0, ahead: float = 0.0) -> None:
        self._faster = faster
        self._began = time.monotonic()
        self._wall = time.time() + ahead

    def monotonic(self) -> float:
        return self._began + (time.monotonic() - self._began) * self._faster

    def wall(self) -> float:
        return self._wall + self.monotonic() - self._began

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / self._faster)

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        left = (when - self.monotonic()) / self._faster
        return super().call_at(time.monotonic() + left, callback)


async def serve_by(town: Town, clock: SystemClock, **sections: object) -> Server:
    """Start the server of the town, living by this clock."""
    town._sections = sections or town._sections
    town.server = await town._server_open.enter_async_context(Server(town.settings(), clock=clock))
    return town.server


async def row_of(town: Town, phone: Handset) -> InstanceRow:
    """The instance as the store has it."""
    assert town.server is not None
    instance = str(phone.instance["instance"])
    now = town.server._clock.wall()
    row = await town.server._ground.store.read(lookup.by_id, instance, now)
    assert row is not None
    return row


async def refresh_now(town: Town, phone: Handset) -> None:
    """Make the registration of a phone due."""
    server = town.server
    assert server is not None
    row = await row_of(town, phone)
    await server._ground.store.write(timing.make_due, [row.n], server._clock.wall())
    server._registrant.wake(row.n)
