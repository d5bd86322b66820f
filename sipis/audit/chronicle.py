"""Adding to the log, inside the transaction of what is being told, and reading what proves it.

All functions take a connection: a leaf stands or falls with the rows that it is about, so the log
can neither miss a deletion nor tell of one that did not happen. Refuses to sign: that comes after.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import resources
from typing import Final

from sipis.audit.leaf import Kind, Leaf, minute_of
from sipis.audit.merkle import ARITY, Tree, fold, leaf_hash
from sipis.audit.note import Head
from sipis.store import apps, leaves
from sipis.store.leaves import DayCount

LATENESS: Final = "lateness"
"""Under this word the days count how late instances were destroyed."""

_CLASSES: Final = ((0, "in time"), (1, "1 s"), (5, "2-5 s"), (60, "6-60 s"))
TOO_LATE: Final = "over 60 s"
LATENESS_CLASSES: Final = (*(name for _, name in _CLASSES), TOO_LATE)
_VERSION_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Evidence:
    """A leaf and its audit path in the tree of a head."""

    seq: int
    line: bytes
    path: tuple[bytes, ...]
    head: Head


def append(conn: sqlite3.Connection, new: Sequence[Leaf]) -> None:
    """Add leaves in this order, with their hashes and counts."""
    if not new:
        return
    first, version = leaves.size(conn), software()
    lines = [leaf.line(seq, version) for seq, leaf in enumerate(new, first)]
    leaves.put_lines(conn, [(first + i, line, _ended(new[i])) for i, line in enumerate(lines)])
    leaves.put_hashes(conn, 0, first, [leaf_hash(line) for line in lines])
    _complete_subtrees(conn, first, first + len(new))
    leaves.grow(conn, len(new))
    leaves.count(conn, _counts(new))
    leaves.put_newest(conn, {leaf.kind.value: seq for seq, leaf in enumerate(new, first)})


def census(conn: sqlite3.Connection, now: float) -> None:
    """Add how many instances live, counted in this transaction."""
    live = sum(app.instances for app in apps.counts(conn).values())
    append(conn, [Leaf(Kind.CENSUS, now, count=live)])


def head(conn: sqlite3.Connection, size: int | None = None) -> Head:
    """The state of the log, now or when it had `size` leaves."""
    size = leaves.size(conn) if size is None else size
    return Head(size, _tree(conn, size).root())


def find_end(conn: sqlite3.Connection, commitment: bytes, signed: Head | None) -> Evidence | None:
    """The leaf that ends a commitment, proven in the signed head, or in that of now if later."""
    seq = leaves.ended(conn, commitment)
    line = None if seq is None else leaves.line(conn, seq)
    if seq is None or line is None:
        return None
    covering = signed if signed is not None and signed.size > seq else head(conn)
    return Evidence(seq, line, _path(conn, seq, covering), covering)


def prove(conn: sqlite3.Connection, evidence: Evidence, other: Head) -> Evidence:
    """The same leaf, proven in another head."""
    return replace(evidence, path=_path(conn, evidence.seq, other), head=other)


def consistency(conn: sqlite3.Connection, earlier: int, later: int) -> list[bytes]:
    """Proof that the log of `earlier` leaves (at least 1) is a prefix of that of `later`."""
    return _tree(conn, later).consistency(earlier)


def drop_older(conn: sqlite3.Connection, than: float, limit: int = 1000) -> int:
    """Drop the lines of minutes before `than` (Unix seconds); their hashes stay."""
    cut = f'"minute":"{minute_of(than)}"'.encode()
    if not any(_is_older(it, cut) for it in leaves.oldest(conn, 1)):
        return 0
    old = [it.seq for it in leaves.oldest(conn, limit) if _is_older(it, cut)]
    return leaves.drop(conn, max(old) + 1, limit)


@cache
def software() -> str:
    """A hash over the source of this package, so that a leaf says which software wrote it."""
    digest = hashlib.sha256()
    with resources.as_file(resources.files("sipis")) as root:
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:_VERSION_DIGITS]


def _tree(conn: sqlite3.Connection, size: int) -> Tree:
    return Tree(size, partial(leaves.hashes, conn))


def _path(conn: sqlite3.Connection, seq: int, within: Head) -> tuple[bytes, ...]:
    return tuple(_tree(conn, within.size).inclusion(seq))


def _complete_subtrees(conn: sqlite3.Connection, before: int, after: int) -> None:
    """Keep the hashes of all subtrees that these leaves completed."""
    tier = 1
    while (first := before // ARITY**tier) < (end := after // ARITY**tier):
        folded = [
            fold(leaves.hashes(conn, tier - 1, number * ARITY, ARITY))
            for number in range(first, end)
        ]
        leaves.put_hashes(conn, tier, first, folded)
        tier += 1


def _ended(leaf: Leaf) -> bytes:
    return leaf.c if leaf.kind is Kind.DESTROYED and leaf.c is not None else b""


def _is_older(line: leaves.Line, cut: bytes) -> bool:
    """Whether a line's minute, which sorts as text, lies before the cut."""
    text = line.text or b""
    start = text.find(b'"minute":')
    return text[start : text.find(b",", start)] < cut


def _counts(new: Sequence[Leaf]) -> list[DayCount]:
    counted: Counter[tuple[str, str, str]] = Counter()
    for leaf in new:
        day = minute_of(leaf.moment)[:10]
        counted[day, leaf.kind.value, leaf.reason.value if leaf.reason else ""] += 1
        if leaf.lateness is not None:
            counted[day, LATENESS, lateness_class(leaf.lateness)] += 1
    return [DayCount(*key, number) for key, number in counted.items()]


def lateness_class(seconds: int) -> str:
    """Into which class of the histogram a lateness falls."""
    return next((name for limit, name in _CLASSES if seconds <= limit), TOO_LATE)
