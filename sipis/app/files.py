"""Files that an operator may replace while the server runs, each group with what follows from it.

Refuses to forget a file that cannot be used: it is tried in every round until it can.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from sipis.errors import SipisError

_log = structlog.get_logger("app")

Stamps = list[tuple[int, int, int]]
"""What changes when a file is replaced or written; zeros while it is away."""


class Followed:
    """A group of files and how they are taken up."""

    def __init__(self, paths: Iterable[Path | None], take_up: Callable[[], None]) -> None:
        """None in `paths` is a file that is not configured; `take_up` raises SipisError."""
        self._paths = [path for path in paths if path is not None]
        self._take_up = take_up
        self._in_use = self._stamps()

    def follow(self) -> bool:
        """Take up what was changed; False while it cannot be used and what was before serves on."""
        now = self._stamps()
        if now == self._in_use:
            return True
        try:
            self._take_up()
        except SipisError as wrong:
            _log.warning("file cannot be used", error=type(wrong).__name__)
            return False
        self._in_use = now
        return True

    def _stamps(self) -> Stamps:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns
