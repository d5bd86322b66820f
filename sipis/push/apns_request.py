"""From a push to the request that APNs takes, in aioapns' request type.

Refuses a VoIP push that announces no call. What each event looks like on an iPhone is one table.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from aioapns.common import NotificationRequest, PushType
from hpack import NeverIndexedHeaderTuple

from sipis.model import PushEvent, TargetKind
from sipis.push.exchange import Headers
from sipis.push.payload import OTHER_LIMIT, VOIP_LIMIT, encoded
from sipis.push.provider import TargetedPush
from sipis.push.routes import LIFETIME, may_carry

HIGH: Final = 10
LOW: Final = 5
LONGEST_COLLAPSE: Final = 64


@dataclass(frozen=True, slots=True)
class Look:
    """How an event arrives at an alert token; `alert` None is a background push."""

    alert: str | None
    priority: int
    pressing: bool = False
    """Breaks through Focus where the app has the capability."""


LOOKS: Final[dict[PushEvent, Look]] = {
    PushEvent.CALL: Look("SIPIS_CALL", HIGH, pressing=True),
    PushEvent.CALL_ENDED: Look("SIPIS_CALL_ENDED", HIGH),
    PushEvent.MESSAGE: Look("SIPIS_MESSAGE", HIGH),
    PushEvent.MWI: Look("SIPIS_MWI", LOW),
    PushEvent.EXPIRING: Look(None, LOW),
    PushEvent.EXPIRED: Look("SIPIS_EXPIRED", LOW),
    PushEvent.VERIFY: Look(None, LOW),
    PushEvent.TEST: Look("SIPIS_TEST", HIGH),
}
"""The words are keys into the app's own strings: no text of ours reaches a screen."""


def compose(push: TargetedPush, topic: str) -> NotificationRequest | None:
    """Return the request, or None where an event may not go to that kind of token."""
    note = push.notification
    if not may_carry(note.event, push.target):
        return None
    voip = push.target.kind is TargetKind.VOIP
    look = LOOKS[note.event]
    message: dict[str, object] = {"sipis": note.payload}
    if not voip:
        message = {"aps": _aps(look), **message}
    return NotificationRequest(
        device_token=push.target.token,
        message=message,
        notification_id=push.push_id,
        time_to_live=LIFETIME[note.event],
        priority=HIGH if voip else look.priority,
        collapse_key=None if voip else note.collapse or note.call,
        push_type=_push_type(look, voip=voip),
        apns_topic=f"{topic}.voip" if voip else topic,
    )


def body_of(request: NotificationRequest) -> bytes | None:
    """Return the JSON body, or None when APNs would find it too large (4096 bytes, VoIP 5120)."""
    body = encoded(request.message)
    limit = VOIP_LIMIT if request.push_type is PushType.VOIP else OTHER_LIMIT
    return body if len(body) <= limit else None


def headers_of(request: NotificationRequest, *, authority: str, token: str, now: float) -> Headers:
    """Return the header list; `now` is Unix seconds, an expiration of 0 means try once.

    What differs in every push is kept out of the compression table.
    """
    headers: Headers = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", authority.encode()),
        _unindexed(b":path", f"/3/device/{quote(request.device_token, safe='')}"),
        (b"authorization", b"bearer " + token.encode()),
        (b"apns-topic", str(request.apns_topic).encode()),
        (b"apns-push-type", request.push_type.value.encode()),
        (b"apns-priority", str(request.priority).encode()),
        _unindexed(b"apns-expiration", _expiration(request, now)),
        _unindexed(b"apns-id", request.notification_id),
    ]
    if request.collapse_key:
        headers.append(_unindexed(b"apns-collapse-id", _collapse(request.collapse_key)))
    return headers


def _aps(look: Look) -> dict[str, object]:
    if look.alert is None:
        return {"content-available": 1}
    aps: dict[str, object] = {"alert": {"loc-key": look.alert}, "mutable-content": 1}
    if look.priority == HIGH:
        aps["sound"] = "default"
    if look.pressing:
        aps["interruption-level"] = "time-sensitive"
    return aps


def _push_type(look: Look, *, voip: bool) -> PushType:
    if voip:
        return PushType.VOIP
    return PushType.BACKGROUND if look.alert is None else PushType.ALERT


def _expiration(request: NotificationRequest, now: float) -> str:
    return str(int(now) + request.time_to_live) if request.time_to_live else "0"


def _collapse(word: str) -> str:
    return word.encode()[:LONGEST_COLLAPSE].decode("utf-8", "ignore")


def _unindexed(name: bytes, value: str) -> tuple[bytes, bytes]:
    return NeverIndexedHeaderTuple(name, value.encode())
