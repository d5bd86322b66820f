"""A registrar, a clock that stands still, and a registrant between them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from tests.support.registrar import Registrar, Stage, registrar_on, staged


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def registrar(clock: ManualClock) -> AsyncIterator[Registrar]:
    async with registrar_on(clock) as running:
        yield running


@pytest.fixture
async def stage(tmp_path: Path, clock: ManualClock, registrar: Registrar) -> AsyncIterator[Stage]:
    async with staged(tmp_path, clock, registrar) as running:
        yield running
