"""What a program and its children have cost so far, read from /proc.

CPU time comes from the scheduler's nanoseconds, since a clock tick (10 ms) hides small figures.
Refuses to count what a child that has ended used.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_KIB = 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, all threads."""
    return sum(_on_cpu(task) for one in tree(pid) for task in _tasks(one)) / 1e9


def resident_bytes(pid: int) -> int:
    """Resident memory of a process tree; what several processes share counts once."""
    return sum(_rollup(one, "Pss") for one in tree(pid))


def private_bytes(pid: int) -> int:
    """Resident memory of one process that is not backed by files."""
    return _rollup(pid, "Anonymous")


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for task in _tasks(pid):
        for child in _read(task / "children").split():
            yield from tree(int(child))


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _on_cpu(task: Path) -> float:
    words = _read(task / "schedstat").split()
    if words:
        return float(words[0])
    fields = _read(task / "stat").rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:13])) if fields else 0
    return ticks * 1e9 / os.sysconf("SC_CLK_TCK")


def _rollup(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _read(Path(f"/proc/{pid}/smaps_rollup")), re.M)
    return int(found[1]) * _KIB if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
