"""Frozen nouns that several rooms share.

Refuses behaviour: a noun knows its shape and nothing else. Passwords are not here: secret.py.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

InstanceId = NewType("InstanceId", str)
"""Public random name of an instance: 32 lower-case hex digits."""


class Mode(StrEnum):
    """Who keeps the registration while the app is in the foreground."""

    CONTINUOUS = "continuous"
    ALTERNATE = "alternate"
    TAKEOVER = "takeover"


class InstanceState(StrEnum):
    """Where an instance stands with its provider, as the app sees it."""

    IDLE = "idle"
    REGISTERING = "registering"
    REGISTERED = "registered"
    UNAUTHORIZED = "unauthorized"
    ERROR = "error"
    EXPIRING = "expiring"


class DeletionReason(StrEnum):
    """Why an instance was destroyed; the words of the receipt."""

    DISABLED = "disabled"
    EXPIRED = "expired"
    PUSH_GONE = "push_gone"
    NEVER_REGISTERED = "never_registered"
    REPLACED = "replaced"
    ADMIN = "admin"
    APP_REMOVED = "app_removed"
    KEY_LOST = "key_lost"
    CANARY = "canary"


class PushService(StrEnum):
    """The push notification service of a target."""

    APNS = "apns"
    FCM = "fcm"


class TargetKind(StrEnum):
    """What a target's token is: an APNs token of PushKit or of alerts, an FCM token or FID."""

    VOIP = "voip"
    ALERT = "alert"
    TOKEN = "token"
    FID = "fid"


class Environment(StrEnum):
    """APNs environment of a token."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"


class PushEvent(StrEnum):
    """What a push tells the app (payload v1, key `event`)."""

    CALL = "call"
    CALL_ENDED = "call-ended"
    MESSAGE = "message"
    MWI = "mwi"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    VERIFY = "verify"
    TEST = "test"


class CallState(StrEnum):
    """What became of an incoming call, as a late waker is told."""

    RINGING = "ringing"
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    ELSEWHERE = "elsewhere"
    DECLINED = "declined"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Account:
    """A SIP account without its password; URIs are as the app sent them."""

    aor: str
    auth_user: str | None = None
    registrar: str | None = None
    outbound_proxy: str | None = None
    display_name: str | None = None
    expires: int | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class PushTarget:
    """One address of an app installation at a push service."""

    provider: PushService
    kind: TargetKind
    token: str
    environment: Environment | None = None
