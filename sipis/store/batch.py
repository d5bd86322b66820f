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
        self._error: BaseException | None = StoreError("the job was not run")

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the function; raises what it raises."""
        self.succeed(self._function(connection))

    def run_reading(self, connection: sqlite3.Connection) -> None:
        """Run the function on one snapshot; never raises."""
        try:
            connection.execute("BEGIN")
            self.run(connection)
        except BaseException as error:
            self.fail(error)
        _roll_back(connection)

    def run_alone(self, connection: sqlite3.Connection) -> None:
        """Run the function in a transaction of its own; never raises."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            self.run(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            self.fail(error)
            _roll_back(connection)

    def run_inside(self, connection: sqlite3.Connection) -> None:
        """Run the function inside an open transaction, and undo it alone when it fails.

        Raises sqlite3.Error when SQLite has undone the whole transaction.
        """
        connection.execute("SAVEPOINT job")
        try:
            self.run(connection)
        except BaseException as error:
            self.fail(error)
            connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")

    def succeed(self, value: T) -> None:
        """Note the result."""
        self._value, self._error = value, None

    def fail(self, error: BaseException) -> None:
        """Note that nothing of the job stands."""
        self._error = as_ours(error)

    def outcome(self) -> T:
        """The function's result, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # T may itself be optional


def run_batch(connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> None:
    """Run jobs in one transaction; when that cannot be committed, each in one of its own.

    Jobs may therefore run twice: they change nothing but the database.
    """
    if len(jobs) > 1 and _together(connection, jobs):
        return
    for job in jobs:
        job.run_alone(connection)


def run_shared(connection: sqlite3.Connection, jobs: Sequence[Job[T]]) -> None:
    """Run the first of several equal jobs outside of any transaction; its outcome is theirs all."""
    if not jobs:
        return
    try:
        jobs[0].run(connection)
    except BaseException as error:
        for job in jobs:
            job.fail(error)
        return
    for job in jobs[1:]:
        job.succeed(jobs[0].outcome())


def as_ours(error: BaseException) -> BaseException:
    """A database error as StoreError with the name of the error, never with its text."""
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return StoreError(f"the database refused: {name}")
    return error


def _together(connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> bool:
    """False: the transaction was lost (disk full, say) and nothing of it stands."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            job.run_inside(connection)
        connection.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(connection)
        return False
    return True


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
