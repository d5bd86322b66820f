"""What APNs checks in a request, and the words in which it refuses.

Refuses leniency: a client that passes here has kept Apple's rules (Apple, "Sending notification
requests to APNs", "Handling notification responses from APNs").
"""

import json
import re
from dataclasses import dataclass, field
from typing import Final

import jwt

from sipis.world.behaviour import Reply
from sipis.world.h2server import Fields
from sipis.world.operator_keys import AppleKey

OLDEST_TOKEN: Final = 3600
YOUNGEST_CHANGE: Final = 20 * 60
PUSH_TYPES: Final = frozenset({"alert", "background", "voip"})
PATH: Final = "/3/device/"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKEN: Final = re.compile(r"[0-9A-Za-z._~-]{1,200}")


def wrong_request(headers: Fields, body: bytes) -> Reply | None:
    """Return the refusal of a malformed request, or None when it keeps the rules."""
    for refused, reply in _checks(headers, body):
        if refused:
            return reply
    return None


def _checks(headers: Fields, body: bytes) -> list[tuple[bool, Reply]]:
    push_type = headers.get("apns-push-type", "")
    voip = push_type == "voip"
    topic = headers.get("apns-topic", "")
    token = headers.get(":path", "").removeprefix(PATH)
    return [
        (headers.get(":method") != "POST", Reply(405, "MethodNotAllowed")),
        (not headers.get(":authority"), Reply(400, "BadPath")),
        (not headers.get(":path", "").startswith(PATH), Reply(404, "BadPath")),
        (not token, Reply(400, "MissingDeviceToken")),
        (not _TOKEN.fullmatch(token), Reply(400, "BadDeviceToken")),
        (not topic, Reply(400, "MissingTopic")),
        (push_type not in PUSH_TYPES, Reply(400, "InvalidPushType")),
        (voip != topic.endswith(".voip"), Reply(400, "BadTopic")),
        (_bad_priority(headers), Reply(400, "BadPriority")),
        (not headers.get("apns-expiration", "0").isdigit(), Reply(400, "BadExpirationDate")),
        (not _UUID.fullmatch(headers.get("apns-id", "")), Reply(400, "BadMessageId")),
        (len(headers.get("apns-collapse-id", "").encode()) > 64, Reply(400, "BadCollapseId")),
        (not body, Reply(400, "PayloadEmpty")),
        (len(body) > (5120 if voip else 4096), Reply(413, "PayloadTooLarge")),
        (not _is_object(body), Reply(400, "PayloadEmpty")),
    ]


def _bad_priority(headers: Fields) -> bool:
    priority = headers.get("apns-priority", "10")
    background = headers.get("apns-push-type") == "background"
    return priority not in {"1", "5", "10"} or (background and priority != "5")


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


@dataclass(slots=True)
class TokenCheck:
    """Checks provider tokens as Apple does; without any trusted key it takes every token."""

    keys: dict[str, AppleKey] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    """Each different token and when it first came, in Unix seconds."""
    topics: frozenset[str] = frozenset()
    """Topics that the keys may push to; empty: any."""

    def trust(self, key: AppleKey) -> None:
        """Take tokens of that key from now on."""
        self.keys[key.key_id] = key

    def refused(self, headers: Fields, now: float) -> Reply | None:
        """Return the refusal of the request's token, or None."""
        token = headers.get("authorization", "").removeprefix("bearer ")
        if not token:
            return Reply(403, "MissingProviderToken")
        refusal = self._refused_token(token, now) if self.keys else None
        if refusal is None and not self._may_push_to(headers.get("apns-topic", "")):
            refusal = Reply(400, "TopicDisallowed")
        return refusal or self._note(token, now)

    def _refused_token(self, token: str, now: float) -> Reply | None:
        try:
            key = self.keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token, key.public_pem, algorithms=["ES256"], options={"verify_iat": False}
            )
        except (jwt.PyJWTError, KeyError):
            return Reply(403, "InvalidProviderToken")
        if claims.get("iss") != key.team_id or claims.get("iat", 0) > now + 60:
            return Reply(403, "InvalidProviderToken")
        if claims["iat"] < now - OLDEST_TOKEN:
            return Reply(403, "ExpiredProviderToken")
        return None

    def _may_push_to(self, topic: str) -> bool:
        return not self.topics or topic.removesuffix(".voip") in self.topics

    def _note(self, token: str, now: float) -> Reply | None:
        """Remember a new token; more than one change in 20 minutes is refused."""
        if token in self.seen:
            return None
        kid = _kid(token)
        recent = [at for other, at in self.seen.items() if _kid(other) == kid]
        self.seen[token] = now
        if recent and now - max(recent) < YOUNGEST_CHANGE:
            return Reply(429, "TooManyProviderTokenUpdates")
        return None


def _kid(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token).get("kid", ""))
    except jwt.PyJWTError:
        return ""
