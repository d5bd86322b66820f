"""Tells strangers from peers, and says what a stranger may cost.

A peer is whoever a room above vouches for, or whose flow holds a binding. A host that we wrote to
first is listened to without a limit, but it is no peer by that.
Refuses to answer a stranger where the answer could serve a scanner or hit a third party.
"""

from collections.abc import Callable
from typing import Final

from sipis.sip.flow import Door, Flow, Transport
from sipis.transport.throttle import Rate, Throttle

MOST_ACQUAINTANCES: Final = 16_384
"""Hosts that we wrote to first, remembered so that their answers are never throttled."""


class Strangers:
    """Who is one. Set `trusted` to tell the flows for which a room above vouches.

    `held` tells the flows that hold a binding; `spend` takes bytes from what may be sent in return
    over a flow, False when that is too little.
    """

    def __init__(
        self, rate: Rate, *, held: Callable[[Flow], bool], spend: Callable[[int, Flow], bool]
    ) -> None:
        self.trusted: Callable[[Flow], bool] = _nobody
        self._held = held
        self._spend = spend
        self._throttle = Throttle(rate)
        self._acquainted: dict[str, None] = {}

    def acquaint(self, host: str) -> None:
        """We are about to write to this host (an IP literal)."""
        if host not in self._acquainted and len(self._acquainted) >= MOST_ACQUAINTANCES:
            self._acquainted.pop(next(iter(self._acquainted)))
        self._acquainted[host] = None

    def may_speak(self, flow: Flow, now: float) -> bool:
        """Whether one more message of this flow is taken in."""
        host = flow.remote[0]
        return host in self._acquainted or self._throttle.admit(host, now) or self._is_peer(flow)

    def get_silence(self, flow: Flow) -> bool:
        """Whether this is a stranger whom the stack leaves without an answer of its own."""
        exposed = flow.door is Door.PROVIDER or flow.transport is Transport.UDP
        return exposed and not self._is_peer(flow)

    def would_gain(self, size: int, flow: Flow) -> bool:
        """Whether a stranger's datagram would bring more bytes to its alleged source than it had.

        At the provider's door nothing is sent to strangers but what a room above orders.
        """
        guarded = flow.door is Door.APP and flow.transport is Transport.UDP
        return guarded and not self._is_peer(flow) and not self._spend(size, flow)

    def forget_rested(self, now: float) -> None:
        """Let go of those of whom a limit has nothing more to know."""
        self._throttle.forget_rested(now)

    def _is_peer(self, flow: Flow) -> bool:
        return self.trusted(flow) or self._held(flow)


def _nobody(_flow: Flow) -> bool:
    return False
