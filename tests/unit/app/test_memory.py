"""Memory goes back to the system, where the C library can be told."""

import ctypes
import gc
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
