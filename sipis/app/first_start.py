"""A start without configuration: embedded defaults, an app to try, keys written to files.

Refuses to print a key: it says where the file is, readable by its owner alone.
"""

import os
from collections.abc import Callable
from pathlib import Path

from sipis.config import AppSettings, Settings

FIRST_APP = "default"
KEY_BYTES = 32


def with_first_app(settings: Settings, entropy: Callable[[int], bytes]) -> Settings:
    """Add an app for trying the API, unless there is one; its key is written on a first start."""
    if settings.apps:
        return settings
    key = secret_file(settings.store.directory / "app.key", entropy)
    app = AppSettings(key_files=(key,), trial=True, require_verification=False)
    return settings.model_copy(update={"apps": {FIRST_APP: app}})


def with_admin_token(settings: Settings, entropy: Callable[[int], bytes]) -> Settings:
    """Give the admin listener a token file, written on a first start, unless it has one."""
    if settings.admin.token_file is not None:
        return settings
    token = secret_file(settings.store.directory / "admin.token", entropy)
    admin = settings.admin.model_copy(update={"token_file": token})
    return settings.model_copy(update={"admin": admin})


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
