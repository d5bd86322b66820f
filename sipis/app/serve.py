"""From the command line to a running server, and back at SIGTERM.

Refuses to die in the middle: the first signal drains, only a second one hurries.
"""

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Callable

import structlog

from sipis.app.first_start import FIRST_APP
from sipis.app.server import Server
from sipis.config import Settings
from sipis.observe.log import set_up
from sipis.vault.medium import media_warnings
from sipis.vault.process import harden

SWITCH_INTERVAL = 0.0001
"""Seconds that the threads of store and vault wait for a busy loop after each statement: a job of
thirty waits 3 ms at most. (Python's own 5 ms make 150 of it; the loop loses nothing by it.)"""

_log = structlog.get_logger("app")


async def serve_until_stopped(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let ringing calls end; SipisError: it cannot start."""
    set_up(settings.log)
    sys.setswitchinterval(SWITCH_INTERVAL)
    _log.info("process hardened", unprotected="; ".join(harden().unprotected))
    _log.info("connections possible", limit=_raise_descriptor_limit())
    for warning in media_warnings(settings):
        _log.warning("keys unprotected", problem=warning)
    stop, hurry = asyncio.Event(), asyncio.Event()
    _on_signals(stop, hurry)
    async with Server(settings) as server:
        _spare_what_stays()
        for line in _greeting(settings, server):
            announce(line)
        await stop.wait()
        await server.drain(hurry)


def _spare_what_stays() -> None:
    """Hide what lives as long as the process from the cycle collector.

    Modules and libraries alone are a hundred thousand objects: to look through them again and again
    stops the loop for some 50 ms each time.
    """
    gc.collect()
    gc.freeze()


def _raise_descriptor_limit() -> int:
    """Take all file descriptors that the system grants; a usual soft limit is a thousand."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def heard() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)


def _greeting(settings: Settings, server: Server) -> list[str]:
    lines = [f"sipis serves the app API on {settings.api.host}:{server.api_port}"]
    first = settings.apps.get(FIRST_APP)
    if first is not None and first.trial:
        lines.append(f"app {FIRST_APP}: its key is in {first.key_files[0]}")
    if settings.admin.token_file is not None:
        lines.append(
            f"admin listener on {settings.admin.host}:{server.admin_port}: "
            f"its token is in {settings.admin.token_file}"
        )
    return lines
