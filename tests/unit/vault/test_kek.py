import base64
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sipis.config import KeysSettings
from sipis.errors import ConfigError, KeeperLocked
from sipis.vault.kek import load_kek

KEK = bytes(range(32))


def load(directory: Path, environment: dict[str, str] | None = None, needed: bool = False) -> bytes:
    settings = KeysSettings()
    return load_kek(settings, directory, environment or {}, needed=needed, entropy=os.urandom)


def test_without_configuration_a_kek_is_made_readable_by_its_owner_and_the_operator_told(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        kek = load(tmp_path)
    assert (tmp_path / "kek").read_bytes() == kek
    assert stat.S_IMODE((tmp_path / "kek").stat().st_mode) == 0o400
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("kek_created", "warning")]
    assert load(tmp_path) == kek


def test_no_kek_is_made_where_an_epoch_slot_waits_for_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(KeeperLocked):
        load(tmp_path, needed=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [KEK, base64.b64encode(KEK), base64.b64encode(KEK) + b"\n"], ids=["raw", "b64", "nl"]
)
def test_a_kek_file_holds_32_bytes_or_their_base64(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    settings = KeysSettings(kek_file=path)
    assert load_kek(settings, tmp_path, {}, needed=True, entropy=os.urandom) == KEK


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, base64.b64encode(b"y" * 31)])
def test_a_malformed_kek_file_locks(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(KeeperLocked):
        load_kek(KeysSettings(kek_file=path), tmp_path, {}, needed=False, entropy=os.urandom)


def test_a_configured_kek_file_that_is_missing_locks_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeeperLocked):
        load_kek(
            KeysSettings(kek_file=tmp_path / "no"), tmp_path, {}, needed=False, entropy=os.urandom
        )
    assert not list(tmp_path.iterdir())


def test_the_credential_directory_of_systemd_or_docker_is_used(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "sipis-kek").write_bytes(KEK)
    assert load(tmp_path, {"CREDENTIALS_DIRECTORY": str(directory)}) == KEK
    assert not (tmp_path / "kek").exists()


@pytest.mark.parametrize("name", ["SIPIS_KEK", "SIPIS_KEK_FILE", "SIPIS_KEYS__KEK"])
def test_k4_a_kek_in_the_environment_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, {name: base64.b64encode(KEK).decode()})
    assert refused.value.key == name
    assert not list(tmp_path.iterdir())
