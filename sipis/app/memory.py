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
"""Quiet rounds in a row after which all objects are looked through: when the transactions of the
last calls are over, and when late wakers are told no more."""
_MIDDLE: Final = 1


class Memory:
    """Gives back, round by round, what is no longer in use.

    A round is quiet when so little was made that the collector did not get to its middle
    generation: some hundred calls in a short time are not.
    """

    def __init__(self) -> None:
        self._collected = _collections()
        self._quiet_rounds = 0

    def give_back(self) -> None:
        """End a round.

        Stops the process: a few ms for the pages; where all objects are looked through, some 20 ms,
        and 0.2 ms more for each call that was ended. The collector would take as much by itself,
        but in the midst of calls.
        """
        before, self._collected = self._collected, _collections()
        self._quiet_rounds = self._quiet_rounds + 1 if before == self._collected else 0
        if self._quiet_rounds in LOOKS:
            gc.collect()
        trim(ctypes.CDLL(None))


def _collections() -> int:
    """How often the collector has looked through its middle generation."""
    return int(gc.get_stats()[_MIDDLE]["collections"])


def trim(libc: object) -> bool:
    """Tell a C library (of ctypes) to return its free pages; False when it knows no such thing."""
    release = getattr(libc, "malloc_trim", None)
    if release is None:
        return False
    release(ctypes.c_size_t(0))
    return True
