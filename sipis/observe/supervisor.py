"""Tasks that belong to a room: each is watched, and a crash never reaches its siblings.

Refuses loose tasks: a room starts its tasks here and `run()` ends only when all of them have ended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from sipis.clock import Clock

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0

_log = structlog.get_logger("supervisor")


class Supervisor:
    """The tasks of one room: services are restarted with back-off, jobs run once."""

    def __init__(
        self,
        room: str,
        clock: Clock,
        *,
        most_jobs: int = 100_000,
        on_crash: Callable[[str], None] | None = None,
    ) -> None:
        self._room = room
        self._clock = clock
        self._most_jobs = most_jobs
        self._on_crash = on_crash
        self._group: asyncio.TaskGroup | None = None
        self._services: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._kept: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    def serve(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Keep a service running: it is restarted, after a growing pause, whenever it crashes."""
        if self._group is None:
            self._services.append((name, service))
        else:
            self._start(self._group, name, service)

    def spawn(self, name: str, job: Coroutine[object, object, None]) -> bool:
        """Run a job once beside the services; False and dropped when too many are running."""
        if self._group is None or self._stopped.is_set() or len(self._jobs) >= self._most_jobs:
            job.close()
            return False
        task = self._group.create_task(self._watch(name, job), name=f"{self._room}.{name}")
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        task.add_done_callback(lambda _: job.close())  # one that was cancelled before it began
        return True

    @property
    def jobs(self) -> int:
        """How many jobs are running now."""
        return len(self._jobs)

    async def run(self) -> None:
        """Run everything until stop() or cancellation."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name, service in self._services:
                self._start(group, name, service)
            try:
                await self._stopped.wait()
            finally:
                self._group = None
                for task in (*self._kept, *self._jobs):
                    task.cancel()

    def stop(self) -> None:
        """End run(): services and jobs still at work are cancelled."""
        self._stopped.set()

    def _start(
        self, group: asyncio.TaskGroup, name: str, service: Callable[[], Awaitable[None]]
    ) -> None:
        task = group.create_task(self._keep(name, service), name=f"{self._room}.{name}")
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    async def _keep(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            began = self._clock.monotonic()
            if await self._survive(name, service()):
                return
            if self._clock.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _watch(self, name: str, job: Coroutine[object, object, None]) -> None:
        await self._survive(name, job)

    async def _survive(self, name: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except Exception as crash:  # the one place where a crash of any kind must stop
            _log.error(
                "crashed",
                room=self._room,
                task=name,
                error=type(crash).__name__,
                where=where(crash),
            )
            if self._on_crash is not None:
                self._on_crash(self._room)
            return False
        return True


def where(crash: BaseException) -> str:
    """The innermost line of ours: enough to find the bug, nothing of the values it was handling."""
    trace = crash.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}"
