"""The key-encryption key (KEK): where it is looked for, read and, on a first start, made.

Refuses a KEK in an environment variable (visible to every process of the same user, inherited, and
part of crash reports) and refuses to make a new one where an epoch slot waits for the old one.
"""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from sipis.config import KeysSettings
from sipis.errors import ConfigError, KeeperLocked
from sipis.vault.envelope import KEY_LENGTH
from sipis.vault.files import create_file

FILE_NAME: Final = "kek"
CREDENTIAL_NAME: Final = "sipis-kek"
"""The name of the KEK among the credentials that systemd or Docker hands to the service."""

_log = structlog.get_logger("vault")


def load_kek(
    settings: KeysSettings,
    data_dir: Path,
    environment: Mapping[str, str],
    *,
    needed: bool,
    entropy: Callable[[int], bytes],
) -> bytes:
    """The 32-byte KEK; made under `data_dir` only if nothing is configured and none is `needed`.

    KeeperLocked when it is missing or malformed, ConfigError when it came in the environment.
    """
    _refuse_inline(environment)
    path = _configured(settings, environment)
    if path is not None:
        return read_kek(path)
    path = data_dir / FILE_NAME
    if not path.exists() and not needed:
        return _make(path, entropy)
    return read_kek(path)


def _refuse_inline(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name.startswith(("SIPIS_KEK", "SIPIS_KEYS__")):
            raise ConfigError(name, "keys are never read from the environment; use a file")


def _configured(settings: KeysSettings, environment: Mapping[str, str]) -> Path | None:
    if settings.kek_file is not None:
        return settings.kek_file
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory and (credential := Path(directory) / CREDENTIAL_NAME).exists():
        return credential
    return None


def read_kek(path: Path) -> bytes:
    """The 32 bytes, or their base64, in a file; KeeperLocked when it holds neither."""
    try:
        content = path.read_bytes()
    except OSError as missing:
        raise KeeperLocked(f"KEK file {path}: {missing.strerror}") from None
    return content if len(content) == KEY_LENGTH else _from_base64(path, content)


def _from_base64(path: Path, content: bytes) -> bytes:
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_LENGTH:
        raise KeeperLocked(f"KEK file {path}: holds neither 32 bytes nor their base64") from None
    return key


def _make(path: Path, entropy: Callable[[int], bytes]) -> bytes:
    kek = entropy(KEY_LENGTH)
    create_file(path, kek, mode=0o400)
    _log.warning("kek_created", path=os.fspath(path), problem="it lies beside the data")
    return kek
