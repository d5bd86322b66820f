"""Structured logs: one JSON object a line, made of an allow-list of fields.

Refuses fields that it does not know: a name, number, token, address or password cannot be logged
by mistake because its field is dropped, and control characters never leave unescaped. Of what
libraries log, only that they did is told: their texts name peers and quote what these sent.
"""

import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from sipis.config import LogSettings

LONGEST_VALUE: Final = 200

FIELDS: Final = frozenset(
    {
        "event", "level", "timestamp", "logger",
        "action", "algorithm", "app", "attempt", "attempts", "bytes", "changed", "count", "door",
        "duration", "epoch", "error", "expires_in", "generation", "instance", "key", "kind", "lag",
        "limit", "listener", "method", "mode", "operation", "outcome", "path", "pid", "port",
        "problem", "protected", "reason", "room", "schema", "seconds", "seed", "service", "signal",
        "state", "status", "task", "topic", "transport", "unprotected", "version", "where", "why",
    }
)  # fmt: skip
"""The only field names that reach an output. None of them can hold a person's data."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def keep_known_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Drop every field that is not on the list, and say how many were dropped."""
    known = {name: _short(value) for name, value in event.items() if name in FIELDS}
    if len(known) < len(event):
        known["problem"] = f"{len(event) - len(known)} unlisted fields dropped"
    return known


def set_up(settings: LogSettings, output: TextIO | None = None) -> None:
    """Send the logs of the whole process to `output` (standard error)."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_known_fields,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(output or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _Libraries) for handler in root.handlers):
        root.addHandler(_Libraries(logging.WARNING))


class _Libraries(logging.Handler):
    """Tells which library logged, how bad it was, and the type of the error if there was one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line of ours in place of the record."""
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger("libraries").log(
            record.levelno, "library", logger=record.name, error=error.__name__ if error else "",
            where=f"{record.module}:{record.lineno}",
        )  # fmt: skip


def _short(value: object) -> object:
    if isinstance(value, str):
        return "".join(c if c.isprintable() else "?" for c in value[:LONGEST_VALUE])
    return value if isinstance(value, bool | int | float) or value is None else _short(str(value))
