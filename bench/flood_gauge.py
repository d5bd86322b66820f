"""What a server holds: resident memory and open files, read from /proc; and what it costs."""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from bench.cpu import cpu_seconds

EVERY: Final = 0.5
MIB: Final = 2**20


class Gauge:
    """Watches one process; `peak` is the most resident bytes that were seen."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process = Path("/proc") / str(pid)
        self._last = time.monotonic(), cpu_seconds(pid)
        self.peak = 0

    def memory(self) -> int:
        """Bytes that are resident now."""
        pages = int((self._process / "statm").read_text().split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
        self.peak = max(self.peak, resident)
        return resident

    def files(self) -> int | None:
        """Open file descriptors; None for those who are not root, since the server hides them."""
        try:
            return len(os.listdir(self._process / "fd"))
        except PermissionError:
            return None

    def load(self) -> float:
        """Share of one core that it used since the last look."""
        (then, before), self._last = self._last, (time.monotonic(), cpu_seconds(self._pid))
        return (self._last[1] - before) / max(self._last[0] - then, 0.001)

    async def watch(self) -> None:
        """Keep the peak up to date, for ever."""
        while True:
            self.memory()
            await asyncio.sleep(EVERY)
