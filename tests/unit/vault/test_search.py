"""The search finds every copy and never itself."""

import os
from pathlib import Path

import pytest

from sipis.errors import FieldError
from sipis.secret import Secret
from sipis.vault.search import (
    WINDOW,
    Wanted,
    search_file,
    search_files,
    search_memory,
)


def wanted(secret: bytes) -> Wanted:
    return Wanted.of(secret, os.urandom)


@pytest.mark.parametrize("at", [0, 5, WINDOW - 8, WINDOW - 16, WINDOW, 2 * WINDOW - 17])
def test_a_copy_is_found_wherever_it_lies_in_a_file_and_counted_once(
    tmp_path: Path, at: int
) -> None:
    secret, path = os.urandom(16), tmp_path / "file"
    longer = secret + os.urandom(30)
    path.write_bytes(bytes(at) + longer + bytes(40))
    assert search_file(path, [wanted(secret), wanted(os.urandom(40))]) == 1
    assert search_file(path, [wanted(secret), wanted(longer)]) == 2


def test_files_without_a_copy_and_files_that_are_gone_are_clean(tmp_path: Path) -> None:
    secret = os.urandom(16)
    (tmp_path / "one").write_bytes(secret[:15] + b"x" + secret[1:])
    (tmp_path / "two").write_bytes(b"x" + secret)
    paths = [tmp_path / name for name in ("one", "two", "three")]
    assert search_files(paths, [wanted(secret)]) == [tmp_path / "two"]


def test_the_search_of_the_memory_finds_copies_and_not_itself() -> None:
    looked_for = Wanted(os.urandom(24), os.urandom(24))
    assert search_memory([looked_for]) == 0
    copies = [looked_for.unmasked(), looked_for.unmasked()]
    found = search_memory([looked_for])
    assert found is not None
    assert found >= len(copies)
    for copy in copies:
        copy[:] = bytes(len(copy))
    assert search_memory([looked_for]) == 0


def test_what_is_looked_for_is_no_attribute_and_no_text() -> None:
    looked_for = Wanted.of(Secret("marker-of-the-search"), os.urandom)
    assert "marker" not in f"{looked_for!r} {looked_for.mask!r} {looked_for.masked!r}"
    assert bytes(looked_for.unmasked()) == b"marker-of-the-search"


@pytest.mark.parametrize(
    ("mask", "masked"), [(b"", b""), (b"x" * 11, b"x" * 11), (b"x", b"y" * 12)]
)
def test_a_search_that_says_nothing_is_refused(mask: bytes, masked: bytes) -> None:
    with pytest.raises(FieldError, match="mask"):
        Wanted(mask, masked)
