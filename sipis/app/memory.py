"""Memory that a busy hour took, given back to the system when the hour is over.

A call that has ended leaves objects that refer to each other, which only the cycle collector finds;
it sets to work when much is made, so not in the quiet after a flood. What is freed stays with the C
library until it is told to let go of the pages on which nothing is in use.
Refuses to matter: a C library that cannot be told (musl, macOS) keeps what it has.
"""

import ctypes
import gc
from typing import Final

_OLDEST: Final = 2


def give_back(*, quiet: bool) -> None:
    """Let go of what nobody uses; while it is `quiet`, look for what refers to itself as well.

    Stops the process: a few ms for the pages; for the objects of a thousand calls some 100 ms,
    which the collector would take as well, but in the midst of calls.
    """
    if quiet and _has_aged():
        gc.collect()
    trim(ctypes.CDLL(None))


def trim(libc: object) -> bool:
    """Tell a C library (of ctypes) to return its free pages; False when it knows no such thing."""
    release = getattr(libc, "malloc_trim", None)
    if release is None:
        return False
    release(ctypes.c_size_t(0))
    return True


def _has_aged() -> bool:
    """Whether objects outlived the younger generations since the last look at all of them."""
    return gc.get_count()[_OLDEST] > 0
