"""A start without configuration: embedded defaults, an app to try, keys written to files.

Refuses to print a key: it says where the file is, readable by its owner alone.
"""

import os
from collections.abc import Callable
from pathlib import Path

from sipis.config import AppSettings, Settings
from sipis.errors import ConfigError

FIRST_APP = "default"
KEY_BYTES = 32


def ready_to_serve(
    settings: Settings, entropy: Callable[[int], bytes], *, configured: bool
) -> Settings:
    """What `serve` needs beyond the settings; ConfigError when its files cannot be written."""
    try:
        complete = settings if configured else with_first_app(settings, entropy)
        return with_admin_token(complete, entropy)
    except OSError as failed:
        raise ConfigError("store.directory", f"{failed.filename}: {failed.strerror}") from None


def with_first_app(settings: Settings, entropy: Callable[[int], bytes]) -> Settings:
    """Add an app for trying the API, unless there is one; its key is written on a first start.

    Whoever tries it may do so in a container without a volume, on copy-on-write.
    """
    if settings.apps:
        return settings
    key = secret_file(settings.store.directory / "app.key", entropy)
    app = AppSettings(key_files=(key,), trial=True, require_verification=False)
    keys = settings.keys.model_copy(update={"allow_copy_on_write": True})
    return settings.model_copy(update={"apps": {FIRST_APP: app}, "keys": keys})


def with_admin_token(settings: Settings, entropy: Callable[[int], bytes]) -> Settings:
    """Give the admin listener a token file, written on a first start, unless it has one."""
    if settings.admin.token_file is not None:
        return settings
    token = secret_file(admin_token_file(settings), entropy)
    admin = settings.admin.model_copy(update={"token_file": token})
    return settings.model_copy(update={"admin": admin})


def admin_token_file(settings: Settings) -> Path:
    """Where the token of the admin listener is, or will be after a first start."""
    return settings.admin.token_file or settings.store.directory / "admin.token"


def secret_file(path: Path, entropy: Callable[[int], bytes]) -> Path:
    """A file with fresh random text, mode 0400; one that exists stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(entropy(KEY_BYTES).hex() + "\n")
    return path
