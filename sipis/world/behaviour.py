"""What a push service of the world can be told to do to a push.

Refuses to act: these are words of a script; apns.py and fcm.py play them.
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

REFUSED_STREAM: Final = 0x7
EVERYBODY: Final = "*"


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer with that status; `reason` is the service's word for it."""

    status: int = 200
    reason: str = ""
    timestamp: int | None = None
    """Milliseconds, with 410 Unregistered."""
    body: bytes | None = None
    """Sent instead of the JSON that the service would send."""
    chunk: int = 0
    """Split the body into frames of that many bytes."""
    with_id: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    """Seconds on the world's clock."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the stream (RFC 9113 6.4), or drop the connection where there are no streams."""

    code: int = REFUSED_STREAM


@dataclass(frozen=True, slots=True)
class Silence:
    """Never answer."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """Send GOAWAY instead of an answer; then answer (graceful) or hang up."""

    code: int = 0
    reason: str = "Shutdown"
    graceful: bool = True
    processed: bool = True
    """Whether this stream still counts as processed."""


Behaviour = Reply | Reset | Silence | Farewell

BAD_GATEWAY: Final = Reply(502, body=b"<html><h1>502 Bad Gateway</h1></html>")
UNAVAILABLE: Final = Reply(503, body=b"")


class Script:
    """What is to happen to the next pushes, by token; used up in order."""

    def __init__(self) -> None:
        self._acts: defaultdict[str, deque[Behaviour]] = defaultdict(deque)
        self._always: dict[str, Behaviour] = {}

    def add(self, token: str, *acts: Behaviour) -> None:
        """Play these for the next pushes to that token (`*`: to any)."""
        self._acts[token].extend(acts)

    def always(self, token: str, act: Behaviour | None) -> None:
        """Play this for each push to that token until told otherwise (None)."""
        if act is None:
            self._always.pop(token, None)
        else:
            self._always[token] = act

    def next(self, token: str) -> Behaviour | None:
        """Return what is scripted for this push; None means behave."""
        for name in (token, EVERYBODY):
            if self._acts[name]:
                return self._acts[name].popleft()
        return self._always.get(token) or self._always.get(EVERYBODY)
