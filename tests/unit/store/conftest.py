import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.store.runner import open_migrated


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a store in which nothing is."""
    directory = tmp_path_factory.mktemp("empty") / "data"
    open_migrated(directory).close()
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def conn(directory: Path, empty_store: Path) -> Iterator[sqlite3.Connection]:
    """A store of its own for each test; it waits for no disk."""
    shutil.copytree(empty_store, directory)
    connection = open_migrated(directory)
    connection.executescript("PRAGMA main.synchronous = OFF; PRAGMA varying.synchronous = OFF")
    yield connection
    connection.close()
