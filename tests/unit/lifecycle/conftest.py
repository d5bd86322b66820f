from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from tests.support.lifecycle import House, build, running, settings


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with running(build(tmp_path / "data", clock, settings(tmp_path))) as house:
        yield house
