import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.store.runner import open_migrated


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def conn(directory: Path) -> Iterator[sqlite3.Connection]:
    connection = open_migrated(directory)
    yield connection
    connection.close()
