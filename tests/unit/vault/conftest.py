from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.vault import Vault
from tests.support.vault import open_vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    opened = open_vault(tmp_path)
    yield opened
    opened.close()
