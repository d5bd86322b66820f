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


def test_all_objects_are_looked_through_when_it_has_been_quiet_for_a_while_and_not_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy, looks, looked = 0, list[int](), list[int]()
    monkeypatch.setattr(gc, "get_stats", lambda: [{}, {"collections": busy}, {}])
    monkeypatch.setattr(gc, "collect", lambda: looks.append(1))
    kept = memory.Memory()
    for number, made in enumerate([0, 7, 0, 0, 0, 0, 0, 0, 1, 0, 0, *[0] * 50]):
        before, busy = len(looks), busy + made
        kept.give_back()
        looked += [number] * (len(looks) - before)
    assert looked == [3, 6, 10, 13]


def test_the_collector_itself_tells_when_much_is_made() -> None:
    before = memory._collections()
    gc.collect(1)
    assert memory._collections() == before + 1
    gc.collect()
    assert memory._collections() == before + 1


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library keeps what is freed"
)
def test_what_is_freed_below_something_that_stays_goes_back_to_the_system() -> None:
    blocks = [os.urandom(BLOCK) for _ in range(BLOCKS)]
    stays = os.urandom(BLOCK)
    full = resident()
    del blocks
    memory.Memory().give_back()
    assert full - resident() > BLOCK * BLOCKS / 2
    assert len(stays) == BLOCK


BLOCK, BLOCKS = 60_000, 500
"""Bytes that the C library takes from its heap, not from the system for each block."""


def resident() -> int:
    """Bytes that are resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
