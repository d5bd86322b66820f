"""The answers of APNs and FCM and what each means, as data.

Refuses logic: a row is a status, a word, an outcome. What the tables do not name falls to its
class: other 4xx are our fault, other 5xx are tried again, and both are counted as unknown. No
unknown answer ever costs a target its life.

Sources: Apple, "Handling notification responses from APNs"; Google, "ErrorCode" and "Scale FCM".
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from sipis.push.outcome import (
    UNKNOWN,
    Accepted,
    DeadTarget,
    Faulty,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)

Row = tuple[int, str]
Table = Mapping[Row, PushOutcome]
ANY: Final = "*"


def _all(status: int, words: Iterable[str], kind: type[Faulty | Misconfigured]) -> Table:
    return {(status, word): kind(word) for word in words}


APNS: Final[Table] = {
    (200, ANY): Accepted(),
    (400, "BadDeviceToken"): DeadTarget("BadDeviceToken", other_environment=True),
    (400, "DeviceTokenNotForTopic"): Misconfigured("DeviceTokenNotForTopic", whole_app=False),
    **_all(400, ("TopicDisallowed", "BadTopic", "MissingTopic"), Misconfigured),
    **_all(
        400,
        (
            "BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "DuplicateHeaders",
            "InvalidPushType", "MissingDeviceToken", "PayloadEmpty",
        ),
        Faulty,
    ),
    (400, "IdleTimeout"): Retry("IdleTimeout", after=0.0, fresh_connection=True),
    (403, "ExpiredProviderToken"): Retry(
        "ExpiredProviderToken", after=0.0, most=1, most_urgent=1, stale_token=True
    ),
    **_all(
        403,
        (
            "MissingProviderToken", "BadCertificate", "BadCertificateEnvironment", "Forbidden",
            "BadEnvironmentKeyIdInToken",
        ),
        Misconfigured,
    ),
    (403, "InvalidProviderToken"): Misconfigured("InvalidProviderToken", stale_token=True),
    (403, "UnrelatedKeyIdInToken"): Retry(
        "UnrelatedKeyIdInToken", after=0.0, most=1, most_urgent=1, fresh_connection=True
    ),
    (404, "BadPath"): Faulty("BadPath"),
    (405, "MethodNotAllowed"): Faulty("MethodNotAllowed"),
    (410, "Unregistered"): DeadTarget("Unregistered"),
    (410, "ExpiredToken"): DeadTarget("ExpiredToken"),
    (413, "PayloadTooLarge"): TooLarge("PayloadTooLarge"),
    (413, ANY): TooLarge("PayloadTooLarge"),
    (429, "TooManyRequests"): Retry("TooManyRequests", after=1.0, most_urgent=1),
    (429, "TooManyProviderTokenUpdates"): Retry(
        "TooManyProviderTokenUpdates", after=0.2, fresh_connection=True
    ),
    (429, ANY): Retry(UNKNOWN, after=1.0, most_urgent=1),
    (500, "InternalServerError"): Retry("InternalServerError", fresh_connection=True),
    (500, ANY): Retry(UNKNOWN, fresh_connection=True),
    (503, "ServiceUnavailable"): Retry("ServiceUnavailable"),
    (503, "Shutdown"): Retry("Shutdown", after=0.0, fresh_connection=True),
}  # fmt: skip
"""HTTP status and `reason` of APNs' answer."""

AT_TARGET: Final = "INVALID_ARGUMENT at target"
AT_SIZE: Final = "INVALID_ARGUMENT at size"

FCM: Final[Table] = {
    (200, ANY): Accepted(),
    (400, AT_TARGET): DeadTarget("INVALID_ARGUMENT"),
    (400, AT_SIZE): TooLarge("INVALID_ARGUMENT"),
    (400, "INVALID_ARGUMENT"): Faulty("INVALID_ARGUMENT"),
    (401, "UNAUTHENTICATED"): Retry(
        "UNAUTHENTICATED", after=0.0, most=1, most_urgent=1, stale_token=True
    ),
    (401, "THIRD_PARTY_AUTH_ERROR"): Misconfigured("THIRD_PARTY_AUTH_ERROR", whole_app=False),
    (401, "APNS_AUTH_ERROR"): Misconfigured("THIRD_PARTY_AUTH_ERROR", whole_app=False),
    (403, "SENDER_ID_MISMATCH"): DeadTarget("SENDER_ID_MISMATCH"),
    (403, "PERMISSION_DENIED"): Misconfigured("PERMISSION_DENIED"),
    (404, "UNREGISTERED"): DeadTarget("UNREGISTERED"),
    (404, "NOT_FOUND"): Misconfigured("NOT_FOUND"),
    (404, ANY): Misconfigured("NOT_FOUND"),
    (429, "QUOTA_EXCEEDED"): Retry("QUOTA_EXCEEDED", after=60.0),
    (429, "RESOURCE_EXHAUSTED"): Retry("RESOURCE_EXHAUSTED", after=60.0),
    (429, ANY): Retry(UNKNOWN, after=60.0),
    (500, "INTERNAL"): Retry("INTERNAL"),
    (502, ANY): Retry("UNAVAILABLE"),
    (503, "UNAVAILABLE"): Retry("UNAVAILABLE"),
    (504, ANY): Retry("UNAVAILABLE"),
}
"""HTTP status and the word that decides: FcmError's errorCode, else the status of the error."""


def look_up(table: Table, status: int, word: str) -> PushOutcome:
    """Return the outcome of the row, or that of the status, or that of its class."""
    return table.get((status, word)) or table.get((status, ANY)) or _of_class(status)


def classify_apns(status: int, reason: str, timestamp_ms: float | None = None) -> PushOutcome:
    """Return what an answer of APNs means; `timestamp_ms` comes with 410 Unregistered alone."""
    outcome = look_up(APNS, status, reason)
    if isinstance(outcome, DeadTarget) and timestamp_ms is not None:
        return replace(outcome, since=timestamp_ms / 1000)
    return outcome


def classify_fcm(status: int, word: str, retry_after: float | None = None) -> PushOutcome:
    """Return what an answer of FCM means; `retry_after` is the header's value in seconds."""
    outcome = look_up(FCM, status, word)
    if isinstance(outcome, Retry) and retry_after is not None and not outcome.stale_token:
        return replace(outcome, after=retry_after)
    return outcome


def _of_class(status: int) -> PushOutcome:
    return Retry(UNKNOWN) if status >= 500 else Faulty(UNKNOWN)
