"""What the process can do so that its memory stays its own.

Refuses to claim more than it did: what is not protected is listed in the report.
"""

import ctypes
import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


@dataclass(frozen=True, slots=True)
class HygieneReport:
    """Which protections hold; `unprotected` says in words what does not."""

    unprotected: tuple[str, ...]


def harden(
    environment: Mapping[str, str] = os.environ, swaps: Path = Path("/proc/swaps")
) -> HygieneReport:
    """Forbid core dumps and foreign readers of our memory; report what stays open."""
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (_forbid_readers, "other processes of this user can read the memory"),
        (_forbid_cores, "a crash can leave a core file"),
        (lambda: not _swaps(swaps), "memory can be written to swap"),
        (lambda: _wipes_freed(environment), "freed memory keeps its content until it is reused"),
    )
    return HygieneReport(tuple(gap for holds, gap in checks if not holds()))


def _forbid_readers() -> bool:
    """PR_SET_DUMPABLE 0: /proc/PID/mem and ptrace are for root alone."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)


def _forbid_cores() -> bool:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def _swaps(path: Path) -> bool:
    """Whether a swap area is in use: one line below the heading of the kernel's list."""
    try:
        return len(path.read_text().splitlines()) > 1
    except OSError:
        return True


def _wipes_freed(environment: Mapping[str, str]) -> bool:
    """Whether the C library overwrites what Python frees (glibc, all objects through malloc)."""
    plain_malloc = environment.get("PYTHONMALLOC") == "malloc"
    return plain_malloc and "glibc.malloc.perturb" in environment.get("GLIBC_TUNABLES", "")
