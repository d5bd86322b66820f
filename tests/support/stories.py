"""Stories that a command tells on one screen."""

import io
from collections.abc import Awaitable, Callable

import structlog
from rich.console import Console


async def told(tell: Callable[[Console], Awaitable[int]]) -> tuple[int, str]:
    """The exit code of a story and its screen; the log that it set up is undone."""
    screen = io.StringIO()
    try:
        code = await tell(Console(file=screen, width=200))
    finally:
        structlog.reset_defaults()
    return code, screen.getvalue()
