"""What is looked through for traces, and in which order."""

import os
from pathlib import Path

import pytest

from sipis.app.residue import places, search
from sipis.config import Settings, parse
from sipis.store.checkpoint import truncate_logs
from sipis.store.runner import open_migrated
from sipis.vault.search import Wanted, search_file

MARKER = "marker-of-this-test"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A store in a folder, temporary files in another."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return parse({"store": {"directory": str(tmp_path / "data")}, "admin": {"port": 1}})


def test_what_a_checkpoint_moves_meanwhile_is_not_missed(settings: Settings) -> None:
    """The database is emptied of its log right after the first file was read, whichever it is."""
    connection = open_migrated(settings.store.directory)
    truncate_logs(connection)
    connection.execute("CREATE TABLE kept (text)")
    connection.execute("INSERT INTO kept VALUES (?)", (MARKER,))
    wanted, found = [Wanted.of(MARKER.encode(), os.urandom)], 0
    for path in places(settings):
        found += search_file(path, wanted)
        truncate_logs(connection)
    connection.close()
    assert found


def test_store_keys_and_temporary_files_are_looked_through(
    settings: Settings, tmp_path: Path
) -> None:
    open_migrated(settings.store.directory).close()
    (tmp_path / "tmp" / "forgotten").write_text(MARKER)
    seen = search(settings, MARKER, ())
    assert not seen.clean
    assert any("forgotten: 1 copies" in line for line in seen.lines)
    (tmp_path / "tmp" / "forgotten").unlink()
    assert search(settings, MARKER, ()).clean


def test_what_an_auditor_names_is_looked_through_as_well(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "of-today").write_text(MARKER)
    assert not search(settings, MARKER, [tmp_path / "logs"]).clean
