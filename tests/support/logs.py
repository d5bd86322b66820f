"""The log of a server, kept to be read."""

import io
from typing import Literal

from sipis.config import LogSettings
from sipis.observe.log import set_up


def kept_log(level: Literal["debug", "info", "warning", "error"] = "info") -> io.StringIO:
    """All that is logged from now on; tests/conftest.py undoes it after each test."""
    output = io.StringIO()
    set_up(LogSettings(level=level), output)
    return output
