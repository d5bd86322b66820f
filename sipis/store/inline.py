"""The store of simulations: the same jobs, run inline, so that one seed gives one trace.

Refuses threads and waiting; everything else is the same as on disk, files included.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sipis.store.batch import Job
from sipis.store.checkpoint import truncate_logs, vacuum_varying
from sipis.store.runner import open_migrated

P = ParamSpec("P")
T = TypeVar("T")


class InlineRunner:
    """A Store on one connection in the caller's thread."""

    def __init__(self, directory: Path) -> None:
        self._connection = open_migrated(directory)

    async def write(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job in a transaction, now."""
        job = Job(lambda conn: function(conn, *args, **kwargs))
        job.run_alone(self._connection)
        return job.outcome()

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job and take back whatever it changed, now."""
        job = Job(lambda conn: function(conn, *args, **kwargs))
        job.run_reading(self._connection)
        return job.outcome()

    async def checkpoint(self) -> bool:
        """Empty both logs."""
        return truncate_logs(self._connection)

    async def vacuum(self) -> None:
        """Rewrite the file of varying rows."""
        vacuum_varying(self._connection)

    async def close(self) -> None:
        """Empty the logs and close."""
        truncate_logs(self._connection)
        self._connection.close()
