"""Outcomes on their way to the store."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.config import ProviderSettings
from sipis.errors import StoreError
from sipis.model import InstanceState
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.registrant.ledger import FULL, Entry, Ledger
from sipis.registrant.sources import Sources
from sipis.store import instances, registrars, schedule
from sipis.store.inline import InlineRunner
from sipis.store.instances import NewBinding, Replacement
from sipis.store.schedule import Claim
from tests.support.registrar import Told
from tests.support.store import NOW, new_instance, registered


class Desk:
    """A ledger with all that it stands on."""

    def __init__(self, directory: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.store = InlineRunner(directory)
        self.told = Told()
        self.sources = Sources(lambda _domain: ProviderSettings())
        self.expected: list[float] = []
        self.ledger = Ledger(
            self.store,
            clock,
            self.told,
            self.sources,
            metrics=Metrics(),
            expect=self.expected.append,
        )

    async def claims(self, count: int = 1) -> list[Claim]:
        for number in range(count):
            await self.store.write(instances.insert, new_instance(number))
        return await self.store.write(schedule.claim, NOW + 1, limit=100, per_registrar=100)


@pytest.fixture
async def desk(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Desk]:
    made = Desk(tmp_path, clock)
    yield made
    await made.store.close()


async def test_what_stands_is_told_and_expected_again(desk: Desk) -> None:
    (claim,) = await desk.claims()
    desk.ledger.add(
        Entry(registered(claim), claim.id, changed=True, realms=("example.org",)), "registered"
    )
    await desk.ledger.flush()
    assert desk.told.states == [(claim.n, InstanceState.REGISTERED, "")]
    assert desk.told.proven == [(claim.n, ("example.org",))]
    assert desk.expected == [NOW + 1800]


async def test_what_is_said_of_others_is_not_written_for_somebodys_sake(desk: Desk) -> None:
    mine, other = await desk.claims(2)
    desk.ledger.add(Entry(registered(other), other.id, changed=True), "registered")
    await desk.ledger.flush_for([mine.n])
    assert desk.told.states == []
    await desk.ledger.flush_for([mine.n, other.n])
    assert desk.told.states == [(other.n, InstanceState.REGISTERED, "")]


async def test_what_is_being_written_of_somebody_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (claim,) = await desk.claims()
    original, opened = desk.store.write, asyncio.Event()

    async def slow(*args: object, **kwargs: object) -> object:
        await opened.wait()
        return await original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.store, "write", slow)
    desk.ledger.add(Entry(registered(claim), claim.id, changed=True), "registered")
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.ledger.flush())
        await asyncio.sleep(0)
        waiting = group.create_task(desk.ledger.flush_for({claim.n}))
        await asyncio.sleep(0)
        assert not waiting.done()
        opened.set()
    assert desk.told.states == [(claim.n, InstanceState.REGISTERED, "")]


async def test_a_row_that_was_changed_meanwhile_is_expected_at_once(desk: Desk) -> None:
    (claim,) = await desk.claims()
    made = new_instance()
    same = NewBinding(made.registrar, made.aor_index, made.contact_token, made.call_id)
    change = Replacement(7, 2, b"sealed", b"sealed", binding=same)
    await desk.store.write(instances.replace, claim.n, change, NOW + 1)
    desk.ledger.add(Entry(registered(claim), claim.id, changed=True), "registered")
    await desk.ledger.flush()
    assert desk.expected == [desk.clock.wall()]
    assert desk.told.states == []


async def test_an_outcome_that_no_longer_counts_is_not_told(desk: Desk) -> None:
    (claim,) = await desk.claims()
    stale = registered(claim, generation=claim.generation + 1)
    desk.ledger.add(Entry(stale, claim.id, changed=True), "registered")
    await desk.ledger.flush()
    assert desk.told.states == []


async def test_outcomes_are_written_soon_or_when_there_are_many(desk: Desk) -> None:
    supervisor = Supervisor("test", desk.clock)
    supervisor.serve("ledger", desk.ledger.run)
    claims = await desk.claims(FULL + 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        desk.ledger.add(Entry(registered(claims[0]), claims[0].id, changed=True), "registered")
        await desk.clock.advance(0.01)
        assert desk.told.states == []
        await desk.clock.advance(0.05)
        assert len(desk.told.states) == 1
        for claim in claims[1:]:
            desk.ledger.add(Entry(registered(claim), claim.id, changed=True), "registered")
        await desk.clock.advance(0)
        assert len(desk.told.states) == FULL + 1
        supervisor.stop()


async def test_what_the_store_does_not_take_is_offered_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await desk.claims()
    desk.ledger.add(Entry(registered(claims[0]), claims[0].id, changed=True), "registered")
    desk.sources.learn("example.org", "192.0.2.1", NOW)
    real = schedule.settle

    def full(*_args: object) -> set[int]:
        raise StoreError("disk full")

    monkeypatch.setattr(schedule, "settle", full)
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.ledger.flush())
        await desk.clock.advance(2)
    assert desk.told.states == []
    monkeypatch.setattr(schedule, "settle", real)
    await desk.ledger.flush()
    assert len(desk.told.states) == 1
    assert await desk.store.read(registrars.sources, "example.org") == ("192.0.2.1",)


async def test_the_least_interval_of_a_registrar_is_kept(desk: Desk) -> None:
    await desk.claims()
    desk.ledger.note_min_expires("example.org", 7200)
    await desk.ledger.flush()

    def least(conn: sqlite3.Connection) -> int:
        row = registrars.get(conn, "example.org")
        return row.min_expires if row else 0

    assert await desk.store.read(least) == 7200
