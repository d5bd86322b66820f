"""The table of connections and the pool of those that we opened."""

import asyncio
from dataclasses import dataclass

import pytest

from sipis.errors import TransportError
from sipis.sip.flow import Door, Flow, Transport
from sipis.transport.flows import Association, FlowTable, Limits, Pool
from sipis.transport.targets import Target


@dataclass(frozen=True)
class FakeConnection:
    flow: Flow
    incoming: bool = True
    last_received: float = 0.0

    def send(self, data: bytes) -> None:
        raise AssertionError("nothing is sent here")

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def overdue(self, now: float) -> bool:
        return False


def connection(number: int, source: str = "8.8.8.8", *, incoming: bool = True) -> FakeConnection:
    flow = Flow(number, Door.APP, Transport.TCP, ("127.0.0.1", 5070), (source, 40_000 + number))
    return FakeConnection(flow, incoming)


def association(host: str = "127.0.0.1", share: str = "") -> Association:
    return Association(Target(Transport.TCP, host, 5060), Door.PROVIDER, share, "")


def test_one_source_may_open_only_so_many() -> None:
    table = FlowTable(Limits(connections=10, per_source=2))
    first = connection(1)
    assert table.add(first)
    assert table.add(connection(2))
    assert not table.add(connection(3))
    assert table.add(connection(4, "8.8.4.4"))
    table.remove(first)
    assert table.add(connection(3))


def test_the_addresses_of_a_network_of_ipv6_are_one_source() -> None:
    table = FlowTable(Limits(connections=10, per_source=2))
    first = connection(1, "2600::1")
    assert table.add(first)
    assert table.add(connection(2, "2600::2"))
    assert not table.add(connection(3, "2600::3"))
    assert table.add(connection(4, "2600:0:0:1::1"))
    table.remove(first)
    assert table.add(connection(5, "2600::4"))


def test_all_together_may_open_only_so_many() -> None:
    table = FlowTable(Limits(connections=2, per_source=2))
    assert table.add(connection(1, "8.8.8.1"))
    assert table.add(connection(2, "8.8.8.2"))
    assert not table.add(connection(3, "8.8.8.3", incoming=False))


def test_connections_of_ours_do_not_count_against_their_target() -> None:
    table = FlowTable(Limits(connections=10, per_source=1))
    assert all(table.add(connection(number, incoming=False)) for number in range(5))
    assert table.add(connection(6))


def test_removing_twice_frees_one_place() -> None:
    table = FlowTable(Limits(connections=10, per_source=1))
    first = connection(1)
    table.add(first)
    table.remove(first)
    table.remove(first)
    assert table.add(connection(2))
    assert not table.add(connection(3))


class Dialler:
    """Opens what is asked for once it is let."""

    def __init__(self) -> None:
        self.table = FlowTable(Limits())
        self.dialled: list[Association] = []
        self.go = asyncio.Event()
        self.failing = False

    async def connect(self, association: Association) -> Flow:
        self.dialled.append(association)
        await self.go.wait()
        if self.failing:
            raise TransportError("refused")
        opened = connection(len(self.dialled), incoming=False)
        self.table.add(opened)
        return opened.flow


async def test_all_who_want_the_same_at_once_share_one_attempt() -> None:
    dialler = Dialler()
    pool = Pool(dialler.connect, dialler.table)
    waiting = [asyncio.create_task(pool.flow(association())) for _ in range(5)]
    await asyncio.sleep(0)
    dialler.go.set()
    assert len(set(await asyncio.gather(*waiting))) == 1
    assert len(dialler.dialled) == 1
    await pool.flow(association())
    assert len(dialler.dialled) == 1


async def test_other_shares_and_targets_get_connections_of_their_own() -> None:
    dialler = Dialler()
    dialler.go.set()
    pool = Pool(dialler.connect, dialler.table)
    flows = [
        await pool.flow(association()),
        await pool.flow(association(share="a")),
        await pool.flow(association("127.0.0.2")),
    ]
    assert len(set(flows)) == 3


async def test_a_failed_attempt_fails_for_all_and_is_tried_anew_by_the_next() -> None:
    dialler = Dialler()
    dialler.failing = True
    pool = Pool(dialler.connect, dialler.table)
    waiting = [asyncio.create_task(pool.flow(association())) for _ in range(3)]
    await asyncio.sleep(0)
    dialler.go.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, TransportError) for outcome in outcomes)
    assert len(dialler.dialled) == 1
    dialler.failing = False
    assert await pool.flow(association())


async def test_one_who_gives_up_does_not_hang_the_others() -> None:
    dialler = Dialler()
    pool = Pool(dialler.connect, dialler.table)
    first = asyncio.create_task(pool.flow(association()))
    await asyncio.sleep(0)
    second = asyncio.create_task(pool.flow(association()))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(TransportError):
        await second


async def test_a_flow_that_is_gone_is_replaced() -> None:
    dialler = Dialler()
    dialler.go.set()
    pool = Pool(dialler.connect, dialler.table)
    first = await pool.flow(association())
    gone = dialler.table.get(first)
    assert gone is not None
    dialler.table.remove(gone)
    assert await pool.flow(association()) != first
    pool.forget(first)
    assert len(pool._flows) == 1
