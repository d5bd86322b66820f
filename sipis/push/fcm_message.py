"""From a push to the message that FCM takes, with firebase-admin's message types and encoder.

Refuses notification messages: only data reaches our code on the phone. Refuses a collapse key on
calls: FCM throttles collapsible messages to one in three minutes (Google, "Throttling and
quotas"). firebase-admin's app object, its HTTP client and its credentials are never used: they
block the loop.
"""

from typing import Final

from firebase_admin.messaging import AndroidConfig, Message

from sipis.model import PushEvent, TargetKind
from sipis.push.payload import OTHER_LIMIT, encoded
from sipis.push.provider import Notification, TargetedPush
from sipis.push.routes import LIFETIME

KEY: Final = "sipis"


def body_of(push: TargetedPush) -> bytes | None:
    """Return the JSON body of a send request, or None when FCM would find the data too large.

    All data values of FCM are strings: the `sipis` object travels as JSON text under its key.
    """
    text = encoded(push.notification.payload)
    if len(KEY) + len(text) > OTHER_LIMIT:
        return None
    message = Message(data={KEY: text.decode()}, android=_android(push.notification))
    if push.target.kind is TargetKind.FID:
        message.fid = push.target.token
    else:
        message.token = push.target.token  # the constructor warns: FCM prefers a fid
    return b'{"message":' + str(message).encode() + b"}"


def _android(note: Notification) -> AndroidConfig:
    return AndroidConfig(
        priority="high" if note.pressing else "normal",
        ttl=LIFETIME[note.event],
        collapse_key=None if note.event is PushEvent.CALL else note.collapse,
    )
