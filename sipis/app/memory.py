"""Memory that a busy hour took, given back to the system when the hour is over.

A call that has ended leaves objects that refer to each other, which only the cycle collector finds;
it sets to work when much is made, so not in the quiet after a flood. What is freed stays with the C
library until it is told to let go of the pages on which nothing is in use.
Refuses to matter: a C library that cannot be told (musl, macOS) keeps what it has.
"""

import ctypes
import gc
from typing import Final

LOOKS: Final = frozenset({2, 5})
"""Rounds in a row without a call after which all objects are looked through: when the transactions
of the last calls are over, and when late wakers are told no more."""


class Memory:
    """Gives back, round by round, what is no longer in use."""

    def __init__(self) -> None:
        self._quiet_rounds = 0

    def give_back(self, *, calls: int) -> None:
        """End a round; `calls` are under way.

        Stops the process: a few ms for the pages; where all objects are looked through, some 20 ms,
        and 0.2 ms more for each call that was ended. The collector would take as much by itself,
        but in the midst of calls.
        """
        self._quiet_rounds = 0 if calls else self._quiet_rounds + 1
        if self._quiet_rounds in LOOKS:
            gc.collect()
        trim(ctypes.CDLL(None))


def trim(libc: object) -> bool:
    """Tell a C library (of ctypes) to return its free pages; False when it knows no such thing."""
    release = getattr(libc, "malloc_trim", None)
    if release is None:
        return False
    release(ctypes.c_size_t(0))
    return True
