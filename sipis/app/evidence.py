"""The transparency log's place in the server: its key, its folder, its name.

Refuses to replace a key that is lost: a log that was signed before gets a new key only from its
operator, who announces it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from sipis.app.rooms import Ground
from sipis.audit import LogSettings, Notary, Surroundings
from sipis.audit.checkpoints import Checkpoints
from sipis.clock import Clock
from sipis.config import Settings
from sipis.observe.health import Health
from sipis.vault.signer import LogSigner, create_log_key

_log = structlog.get_logger("app")


def open_notary(
    ground: Ground, health: Health, clock: Clock, entropy: Callable[[int], bytes]
) -> Notary:
    """Who signs the log of this server; on a first start its key is made."""
    settings, store = ground.settings, ground.store
    checkpoints = checkpoints_of(settings)
    if checkpoints.newest() is None:
        _make_key(settings, entropy)
    around = Surroundings(
        store, clock, ground.metrics, health, checkpoints, lambda: log_signers(settings)
    )
    return Notary(around, LogSettings(settings.audit.origin, settings.audit.retention))


def checkpoints_of(settings: Settings) -> Checkpoints:
    """The folder of checkpoints."""
    return Checkpoints(settings.store.directory / "checkpoints")


def log_signers(settings: Settings) -> Sequence[LogSigner]:
    """The keys that sign, the one in force first; ConfigError when one cannot be read."""
    in_force = LogSigner(_key_file(settings))
    previous = settings.audit.previous_key_file
    return [in_force] if previous is None else [in_force, LogSigner(previous)]


def _key_file(settings: Settings) -> Path:
    return settings.audit.key_file or settings.store.directory / "log.key"


def _make_key(settings: Settings, entropy: Callable[[int], bytes]) -> None:
    path = _key_file(settings)
    if not path.exists():
        create_log_key(path, entropy)
        _log.warning("log key made", path=str(path), action="move it off this disk, keep a copy")
