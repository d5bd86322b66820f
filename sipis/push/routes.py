"""Which targets of an instance an event goes to, and how long it may wait at the service.

Refuses the VoIP topic to everything but a call: iOS ends VoIP pushes for an app that does not
report a call for each of them (Apple, PushKit, `PKPushRegistry`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sipis.model import PushEvent, PushTarget, TargetKind
from sipis.push.provider import AddressedTarget

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 24 * HOUR

LIFETIME: Final[Mapping[PushEvent, int]] = {
    PushEvent.CALL: 0,
    PushEvent.CALL_ENDED: MINUTE,
    PushEvent.MESSAGE: 7 * DAY,
    PushEvent.MWI: DAY,
    PushEvent.EXPIRING: 12 * HOUR,
    PushEvent.EXPIRED: DAY,
    PushEvent.VERIFY: 10 * MINUTE,
    PushEvent.TEST: MINUTE,
}
"""Seconds that the service may keep a push for a phone that is off; 0: now or never."""

Targets = tuple[AddressedTarget, ...]


def choose(event: PushEvent, targets: Sequence[AddressedTarget]) -> tuple[Targets, Targets]:
    """Return the targets to push to, and those to fall back on when none of the first accepts.

    A call goes to VoIP tokens; an alert token of the same phone would ring it twice.
    """
    voip = tuple(each for each in targets if each.target.kind is TargetKind.VOIP)
    alert = tuple(each for each in targets if each.target.kind is TargetKind.ALERT)
    others = tuple(each for each in targets if each.target.kind in _FCM_KINDS)
    if event is not PushEvent.CALL:
        return others + alert, ()
    return (others + voip, alert) if voip else (others + alert, ())


def may_carry(event: PushEvent, target: PushTarget) -> bool:
    """Whether a push of that event may be sent to that kind of token at all."""
    return event is PushEvent.CALL or target.kind is not TargetKind.VOIP


_FCM_KINDS = frozenset({TargetKind.TOKEN, TargetKind.FID})
