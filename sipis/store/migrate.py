"""Migrations: numbered SQL files, applied in order, each in one transaction.

Files are named `<schema>_<number>.sql` and only ever added. Refuses to open a store that a newer
release has changed.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from sipis.errors import StoreError
from sipis.store.connection import SCHEMAS

_NAME: Final = re.compile(r"(main|varying)_([0-9]{4})\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of one file; numbers of a schema begin at 1 without gaps."""

    schema: str
    number: int
    script: str


def known() -> tuple[Migration, ...]:
    """The migrations of this release, in order."""
    found = []
    for file in resources.files("sipis.store").joinpath("migrations").iterdir():
        if name := _NAME.fullmatch(file.name):
            found.append(Migration(name[1], int(name[2]), file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda one: (one.schema, one.number)))


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Bring both files to this release's schema; StoreError when one is newer."""
    steps = known() if migrations is None else migrations
    for schema in SCHEMAS:
        _bring_up(connection, schema, [step for step in steps if step.schema == schema])


def _bring_up(connection: sqlite3.Connection, schema: str, steps: Sequence[Migration]) -> None:
    stands_at = connection.execute(f"PRAGMA {schema}.user_version").fetchone()[0]
    newest = max((step.number for step in steps), default=0)
    if stands_at > newest:
        raise StoreError(
            f"the {schema} file is at schema {stands_at}, this release knows {newest}:"
            " a newer release has written it"
        )
    for step in steps:
        if step.number > stands_at:
            _apply(connection, step)


def _apply(connection: sqlite3.Connection, step: Migration) -> None:
    """The number is part of the transaction: a crash leaves the step done or not begun."""
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{step.script}\n"
            f"PRAGMA {step.schema}.user_version = {step.number};\nCOMMIT;"
        )
    except sqlite3.Error as failed:
        if connection.in_transaction:
            connection.rollback()
        name = f"{step.schema}_{step.number:04}"
        raise StoreError(f"migration {name} failed: {failed.sqlite_errorname}") from None
