"""The queue of a listening socket, and what becomes of it when no descriptor is left."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator

import pytest

from sipis.clock import ManualClock
from sipis.observe.supervisor import Supervisor
from sipis.transport.acceptor import PAUSE, Acceptor
from sipis.transport.arrivals import Arrival, Arrivals
from tests.support.transport import until


class Exhausted(socket.socket):
    """A listening socket of a process that may open so many connections more."""

    left = 0
    asked = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.asked += 1
        if not self.left:
            raise OSError(errno.EMFILE, "Too many open files")
        self.left -= 1
        return super().accept()


@pytest.fixture
async def arrivals(clock: ManualClock) -> AsyncIterator[Arrivals]:
    supervisor = Supervisor("test", clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(0)
        yield Arrivals(clock, supervisor.spawn)
        supervisor.stop()


async def test_without_descriptors_a_listener_rests_and_comes_back(
    clock: ManualClock, arrivals: Arrivals
) -> None:
    came: list[socket.socket] = []

    async def welcome(arrival: Arrival) -> None:
        came.append(arrival.accepted)

    bound = Exhausted()
    bound.settimeout(0)
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    acceptor = Acceptor(bound, welcome, arrivals)
    acceptor.open()
    peer = socket.create_connection(bound.getsockname())
    await until(lambda: bound.asked == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert bound.asked == 1
    bound.left = 1
    await clock.advance(PAUSE)
    await until(lambda: len(came) == 1)
    acceptor.close()
    for one in (peer, *came):
        one.close()


async def test_a_closed_listener_refuses_connections_even_while_it_rests(
    clock: ManualClock, arrivals: Arrivals
) -> None:
    async def welcome(_: Arrival) -> None:
        raise AssertionError("nobody comes in")

    bound = Exhausted()
    bound.settimeout(0)
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    address = bound.getsockname()
    acceptor = Acceptor(bound, welcome, arrivals)
    acceptor.open()
    peer = socket.create_connection(address)
    await until(lambda: bound.asked == 1)
    acceptor.close()
    acceptor.close()
    await clock.advance(2 * PAUSE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    peer.close()
