"""The log as text that leaves the server: lines, checkpoints, the verifier itself.

Refuses to shorten: a line whose time is over is there as its hash.
"""

import io
import sqlite3
import zipfile
from importlib import resources
from typing import Final

from sipis.store import leaves

LINES_AT_ONCE: Final = 5000
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def lines(conn: sqlite3.Connection, first: int) -> bytes:
    """At most LINES_AT_ONCE lines from number `first` on, a newline after each."""
    found = leaves.lines(conn, first, LINES_AT_ONCE)
    return b"".join(_shown(line) + b"\n" for line in found)


def verifier() -> bytes:
    """The verifier as one file that Python runs: a zip archive of its source, always the same."""
    packed, folder = io.BytesIO(), resources.files("sipis.audit.verifier")
    with zipfile.ZipFile(packed, "w") as archive:
        for source in sorted(folder.iterdir(), key=lambda it: it.name):
            if source.name.endswith(".py"):
                _add(archive, f"verifier/{source.name}", source.read_bytes())
        _add(archive, "__main__.py", _START)
    return b"#!/usr/bin/env python3\n" + packed.getvalue()


_START: Final = b"import sys\n\nfrom verifier.__main__ import main\n\nsys.exit(main())\n"


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _shown(line: leaves.Line) -> bytes:
    return line.text or b'{"seq":%d,"hash":"%s"}' % (line.seq, line.hash.hex().encode())
