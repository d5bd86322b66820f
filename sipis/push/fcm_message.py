"""From a push to the message that FCM takes, with firebase-admin's message types and encoder.

Refuses notification messages: only data reaches our code on the phone. Refuses a collapse key on
calls: FCM throttles collapsible messages to one in three minutes (Google, "Throttling and
quotas"). firebase-admin's app object, its HTTP client and its credentials are never used: they
block the loop.
"""

import json
from functools import lru_cache
from typing import Final

from firebase_admin.messaging import AndroidConfig, Message

from sipis.model import PushEvent, TargetKind
from sipis.push.payload import OTHER_LIMIT, encoded
from sipis.push.provider import Notification, TargetedPush
from sipis.push.routes import LIFETIME

KEY: Final = "sipis"
MOST_SHAPES: Final = 256


def body_of(push: TargetedPush) -> bytes | None:
    """Return the JSON body of a send request, or None when FCM would find the data too large.

    All data values of FCM are strings: the `sipis` object travels as JSON text under its key.
    """
    text = encoded(push.notification.payload)
    if len(KEY) + len(text) > OTHER_LIMIT:
        return None
    addressee = "fid" if push.target.kind is TargetKind.FID else "token"
    message = {
        **_shape_of(push.notification),
        "data": {KEY: text.decode()},
        addressee: push.target.token,
    }
    return encoded({"message": message})


def _shape_of(note: Notification) -> dict[str, object]:
    collapse = None if note.event is PushEvent.CALL else note.collapse
    return _shape("high" if note.pressing else "normal", LIFETIME[note.event], collapse)


@lru_cache(MOST_SHAPES)
def _shape(priority: str, ttl: int, collapse: str | None) -> dict[str, object]:
    """What messages of one kind have in common, checked and encoded by firebase-admin once."""
    android = AndroidConfig(priority=priority, ttl=ttl, collapse_key=collapse)
    shape: dict[str, object] = json.loads(str(Message(fid="anybody", android=android)))
    del shape["fid"]
    return shape
