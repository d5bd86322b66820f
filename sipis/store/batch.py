"""Jobs that share one commit: a job is one function of a connection, run whole.

Jobs that wait at the same time run in one transaction, each inside a savepoint, so that they pay
for one flush to disk together while a failing one undoes only itself. Refuses to run half a job,
and to let a database error carry values of a row.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sipis.errors import StoreError

T = TypeVar("T")


class Job(Generic[T]):
    """A function waiting to be run, and afterwards what came of it."""

    __slots__ = ("_error", "_function", "_value")

    def __init__(self, function: Callable[[sqlite3.Connection], T]) -> None:
        self._function = function
        self._value: T | None = None
        self._error: BaseException | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the function; raises what it raises."""
        self._error = None
        self._value = self._function(connection)

    def fail(self, error: BaseException) -> None:
        """Note that nothing of the job stands."""
        self._error = as_ours(error)

    def outcome(self) -> T:
        """The function's result, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # T may itself be optional


def run_batch(connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> None:
    """Run jobs in one transaction; when it cannot be committed, each in one of its own."""
    if len(jobs) == 1 or not _together(connection, jobs):
        for job in jobs:
            _alone(connection, job)


def as_ours(error: BaseException) -> BaseException:
    """A database error as StoreError with the name of the error, never with its text."""
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return StoreError(f"the database refused: {name}")
    return error


def _alone(connection: sqlite3.Connection, job: Job[Any]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        job.run(connection)
        connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - it belongs to the caller, not to this thread
        _roll_back(connection)
        job.fail(error)


def _together(connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> bool:
    """False: the transaction was lost (disk full, say) and nothing of it stands."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            _inside(connection, job)
        connection.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(connection)
        return False
    return True


def _inside(connection: sqlite3.Connection, job: Job[Any]) -> None:
    """A failing job undoes itself; raises when SQLite has undone the whole transaction."""
    connection.execute("SAVEPOINT job")
    try:
        job.run(connection)
    except BaseException as error:  # noqa: BLE001 - it belongs to the caller, not to this thread
        job.fail(error)
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
