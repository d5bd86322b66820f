"""Where requests inside dialogs wait until the calls of the last process are taken up.

Whoever hangs up while the server starts would otherwise be told that there is no such call, and
the other side would talk on to nobody.
Refuses to hold what begins something new, and more than a crowd.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from sipis.relay.tools import Tools
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived

MOST_WAITING: Final = 5_000

Event = RequestReceived | CancelReceived | AckMissing
Entrance = Callable[[Event], None]


class Anteroom:
    """One for both doors."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._waiting: list[Callable[[], None]] | None = []

    def before(self, door: Entrance) -> Entrance:
        """An entrance that leads to the door, at once or in time."""
        return partial(self._receive, door)

    def open(self) -> None:
        """Let everybody in, in the order of coming; from now on nobody waits."""
        waiting, self._waiting = self._waiting or [], None
        for enter in waiting:
            enter()

    def _receive(self, door: Entrance, event: Event) -> None:
        if self._waiting is None or not _is_inside(event):
            door(event)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(partial(door, event))
        elif isinstance(event, RequestReceived):
            self._tools.ignore(event)


def _is_inside(event: Event) -> bool:
    """Whether it is a request of an existing dialog (RFC 3261 12.2)."""
    return isinstance(event, RequestReceived) and event.request.to_tag is not None
