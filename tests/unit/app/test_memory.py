"""Memory goes back to the system, where the C library can be told."""

import ctypes
import gc
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from sipis.app import memory


def test_a_c_library_is_told_to_keep_no_free_page() -> None:
    told: list[int | None] = []
    libc = SimpleNamespace(malloc_trim=lambda kept: told.append(kept.value))
    assert memory.trim(libc)
    assert told == [0]


def test_a_c_library_that_cannot_be_told_is_left_alone() -> None:
    assert not memory.trim(object())


def test_the_c_library_of_this_process_can_be_asked_whatever_it_is() -> None:
    assert memory.trim(ctypes.CDLL(None)) is hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.parametrize("quiet", [True, False])
def test_all_objects_are_looked_through_in_the_quiet_alone_and_only_when_some_are_old(
    monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(1))
    for counts in ((5, 5, 0), (0, 0, 1)):
        monkeypatch.setattr(gc, "get_count", lambda counts=counts: counts)
        memory.give_back(quiet=quiet)
    assert len(looks) == int(quiet)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library keeps what is freed"
)
def test_what_is_freed_below_something_that_stays_goes_back_to_the_system() -> None:
    blocks = [os.urandom(BLOCK) for _ in range(BLOCKS)]
    stays = os.urandom(BLOCK)
    full = resident()
    del blocks
    memory.give_back(quiet=False)
    assert full - resident() > BLOCK * BLOCKS / 2
    assert len(stays) == BLOCK


BLOCK, BLOCKS = 60_000, 500
"""Bytes that the C library takes from its heap, not from the system for each block."""


def resident() -> int:
    """Bytes that are resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
