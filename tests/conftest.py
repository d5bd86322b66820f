"""What holds for every test: time for generated examples, and a log that no other test set up."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def untouched_log() -> Iterator[None]:
    """Undo what a test makes of the log: its output may be closed when the next one writes."""
    yield
    structlog.reset_defaults()
