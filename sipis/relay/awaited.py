"""What an app is owed inside its calls while it changes networks, or after we restarted.

What is under way stays owed until it is answered: it may have gone down with the old flow, and goes
once more over the next one. Refuses to send twice over one flow, to wait longer than a transaction
lives (64*T1, RFC 3261 17.1.2.2), and to pile up.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sipis.sip.flow import Flow

PATIENCE: Final = 32.0
MOST_EACH: Final = 16
MOST_APPS: Final = 10_000

Use = Callable[[Flow], None]
"""Sends something over the flow that was found."""


@dataclass(slots=True)
class _Owed:
    act: Use
    until: float
    flow: Flow | None


class Awaited:
    """What each app is owed; time is an argument (monotonic seconds)."""

    def __init__(self) -> None:
        self._owed: OrderedDict[int, list[_Owed]] = OrderedDict()

    def keep(self, n: int, act: Use, flow: Flow | None, now: float) -> None:
        """Do this whenever the app of instance `n` comes on another flow than this one."""
        owed = [it for it in self._owed.get(n, ()) if it.until > now and it.act != act]
        self._owed[n] = [*owed[-MOST_EACH + 1 :], _Owed(act, now + PATIENCE, flow)]
        self._owed.move_to_end(n)
        if len(self._owed) > MOST_APPS:
            self._owed.popitem(last=False)

    def settle(self, n: int, act: Use) -> None:
        """This is owed no more."""
        left = [it for it in self._owed.pop(n, ()) if it.act != act]
        if left:
            self._owed[n] = left

    def arrived(self, n: int, flow: Flow, now: float) -> None:
        """The app has a flow: what did not go over it yet goes now, in order."""
        for owed in tuple(self._owed.get(n, ())):
            if owed.until > now and owed.flow != flow:
                owed.flow = flow
                owed.act(flow)

    def sweep(self, now: float) -> None:
        """Forget what nobody came for."""
        for n, owed in list(self._owed.items()):
            if all(it.until <= now for it in owed):
                del self._owed[n]
