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
_MCL_ALL_AS_USED: Final = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT: what is used and will be, not what is only reserved."""


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
        (
            lambda: not _swaps(swaps) or _lock(),
            "memory can be written to swap: the memlock limit is finite",
        ),
        (lambda: wipes_freed(environment), "freed memory keeps its content until it is reused"),
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


def _lock() -> bool:
    """Keep memory out of swap, where the limit allows it for all that will ever be allocated."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    return bool(ctypes.CDLL(None).mlockall(_MCL_ALL_AS_USED) == 0)


def _swaps(path: Path) -> bool:
    """Whether a swap area is in use: one line below the heading of the kernel's list."""
    try:
        return len(path.read_text().splitlines()) > 1
    except OSError:
        return True


def wipes_freed(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the C library overwrites what Python frees (glibc, all objects through malloc).

    It does not overwrite what it keeps in the caches of its threads, so there must be none.
    """
    tunables = environment.get("GLIBC_TUNABLES", "").split(":")
    overwrites = any(it.startswith("glibc.malloc.perturb=") for it in tunables)
    uncached = "glibc.malloc.tcache_count=0" in tunables
    return environment.get("PYTHONMALLOC") == "malloc" and overwrites and uncached
