"""What an operator does to the key store of a server that is stopped.

Refuses to make a key store, and to touch one that a server holds.
"""

import os
from pathlib import Path

from sipis.config import Settings
from sipis.errors import KeeperLocked
from sipis.vault.kek import read_kek
from sipis.vault.medium import check_media, epoch_path
from sipis.vault.vault import Vault


async def rotate_kek(settings: Settings, new_file: Path) -> int:
    """Wrap the epoch under the KEK in that file, with a fresh epoch key; its generation.

    A crash leaves it under one of the two. KeeperLocked when the store is not there, a KEK is
    wrong, or a server runs.
    """
    check_media(settings)
    epoch = epoch_path(settings)
    if not epoch.exists():
        raise KeeperLocked(f"epoch slot {epoch}: there is none")
    new = read_kek(new_file)
    vault = Vault.open(settings.keys, settings.store.directory, environment=os.environ)
    try:
        return (await vault.rotate_kek(new)).after
    finally:
        vault.close()
