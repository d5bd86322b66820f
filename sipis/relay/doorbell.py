"""The pushes of one call: the one that wakes, and the one that says it is over.

Refuses to outlive its call: what has not left when the caller gives up is taken back.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from sipis.model import CallState, PushEvent
from sipis.relay.call import Kind
from sipis.relay.finding import Found
from sipis.relay.ports import Spawn
from sipis.relay.waker import Tidings, Waker

Verdict = Callable[[Kind], None]
"""Called once at most: PUSH_ACCEPTED, PUSH_FAILED, or not at all where nobody knows: a phone whose
push got no answer may wake nevertheless."""

_SAID: Final = {
    CallState.MISSED: "missed",
    CallState.CANCELLED: "cancelled",
    CallState.ELSEWHERE: "answered elsewhere",
    CallState.DECLINED: "declined elsewhere",
}


class Doorbell:
    """Rings at one phone for one call."""

    def __init__(
        self,
        waker: Waker,
        spawn: Spawn,
        *,
        found: Found,
        uuid: str,
        caller: str | None,
        window: float,
    ) -> None:
        self._waker = waker
        self._spawn = spawn
        self._found = found
        self._uuid = uuid
        self._caller = caller
        self._window = window
        self._ringing: asyncio.Task[None] | None = None
        self._stopped = False

    def ring(self, verdict: Verdict, *, since: float) -> None:
        """Push the call that came at `since`; nothing is pushed once nobody may answer any more."""
        if not self._spawn("wake", self._ring(verdict, since)):
            verdict(Kind.PUSH_FAILED)

    def stop(self) -> None:
        """Take back what has not left yet."""
        self._stopped = True
        if self._ringing is not None:
            self._ringing.cancel()

    def tell_end(self, outcome: CallState) -> None:
        """Say how the call ended, so that a phone that still rings can stop."""
        tidings = Tidings(
            PushEvent.CALL_ENDED,
            call=self._uuid,
            sender=self._caller,
            text=_SAID.get(outcome, outcome.value),
            collapse=self._uuid,
            urgent=True,
        )
        self._spawn("call ended", self._tell(tidings))

    async def _ring(self, verdict: Verdict, since: float) -> None:
        if self._stopped:
            return
        self._ringing = asyncio.current_task()
        tidings = Tidings(
            PushEvent.CALL,
            self._window,
            call=self._uuid,
            sender=self._caller,
            urgent=True,
            since=since,
        )
        try:
            reached = await self._waker.tell(
                self._found, tidings, partial(verdict, Kind.PUSH_ACCEPTED)
            )
        finally:
            self._ringing = None
        if not reached:
            verdict(Kind.PUSH_FAILED)

    async def _tell(self, tidings: Tidings) -> None:
        await self._waker.tell(self._found, tidings)
