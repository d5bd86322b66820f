"""A relay between two peers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.relay import House, a_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running relay with default settings."""
    async with a_house(tmp_path) as running:
        yield running
