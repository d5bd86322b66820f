"""What the process does once it serves."""

import gc

from sipis.app import serve


def test_what_stays_is_hidden_from_the_cycle_collector() -> None:
    before = gc.get_freeze_count()
    try:
        serve._spare_what_stays()
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()
