"""Every row of the two tables, written down a second time as the services document it."""

from collections.abc import Callable

import pytest

from sipis.push.outcome import (
    Accepted,
    DeadTarget,
    Faulty,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.push.tables import (
    APNS,
    AT_SIZE,
    AT_TARGET,
    FCM,
    classify_apns,
    classify_fcm,
)


def once(reason: str, *, fresh: bool = False, stale: bool = False) -> Retry:
    return Retry(reason, 0.0, 1, 1, fresh_connection=fresh, stale_token=stale)


APNS_ROWS: list[tuple[int, str, PushOutcome]] = [
    (200, "", Accepted()),
    (400, "BadDeviceToken", DeadTarget("BadDeviceToken", other_environment=True)),
    (400, "DeviceTokenNotForTopic", Misconfigured("DeviceTokenNotForTopic", whole_app=False)),
    (400, "TopicDisallowed", Misconfigured("TopicDisallowed")),
    (400, "BadTopic", Misconfigured("BadTopic")),
    (400, "MissingTopic", Misconfigured("MissingTopic")),
    (400, "BadCollapseId", Faulty("BadCollapseId")),
    (400, "BadExpirationDate", Faulty("BadExpirationDate")),
    (400, "BadMessageId", Faulty("BadMessageId")),
    (400, "BadPriority", Faulty("BadPriority")),
    (400, "DuplicateHeaders", Faulty("DuplicateHeaders")),
    (400, "InvalidPushType", Faulty("InvalidPushType")),
    (400, "MissingDeviceToken", Faulty("MissingDeviceToken")),
    (400, "PayloadEmpty", Faulty("PayloadEmpty")),
    (400, "IdleTimeout", Retry("IdleTimeout", 0.0, fresh_connection=True)),
    (403, "ExpiredProviderToken", once("ExpiredProviderToken", stale=True)),
    (403, "InvalidProviderToken", Misconfigured("InvalidProviderToken", stale_token=True)),
    (403, "MissingProviderToken", Misconfigured("MissingProviderToken")),
    (403, "BadCertificate", Misconfigured("BadCertificate")),
    (403, "BadCertificateEnvironment", Misconfigured("BadCertificateEnvironment")),
    (403, "Forbidden", Misconfigured("Forbidden")),
    (403, "UnrelatedKeyIdInToken", once("UnrelatedKeyIdInToken", fresh=True)),
    (403, "BadEnvironmentKeyIdInToken", Misconfigured("BadEnvironmentKeyIdInToken")),
    (404, "BadPath", Faulty("BadPath")),
    (405, "MethodNotAllowed", Faulty("MethodNotAllowed")),
    (410, "Unregistered", DeadTarget("Unregistered")),
    (410, "ExpiredToken", DeadTarget("ExpiredToken")),
    (413, "PayloadTooLarge", TooLarge("PayloadTooLarge")),
    (429, "TooManyRequests", Retry("TooManyRequests", 1.0, most_urgent=1)),
    (429, "TooManyProviderTokenUpdates",
     Retry("TooManyProviderTokenUpdates", 0.2, fresh_connection=True)),
    (500, "InternalServerError", Retry("InternalServerError", fresh_connection=True)),
    (503, "ServiceUnavailable", Retry("ServiceUnavailable")),
    (503, "Shutdown", Retry("Shutdown", 0.0, fresh_connection=True)),
]  # fmt: skip

FCM_ROWS: list[tuple[int, str, PushOutcome]] = [
    (200, "", Accepted()),
    (400, AT_TARGET, DeadTarget("INVALID_ARGUMENT")),
    (400, AT_SIZE, TooLarge("INVALID_ARGUMENT")),
    (400, "INVALID_ARGUMENT", Faulty("INVALID_ARGUMENT")),
    (401, "UNAUTHENTICATED", once("UNAUTHENTICATED", stale=True)),
    (401, "THIRD_PARTY_AUTH_ERROR", Misconfigured("THIRD_PARTY_AUTH_ERROR", whole_app=False)),
    (401, "APNS_AUTH_ERROR", Misconfigured("THIRD_PARTY_AUTH_ERROR", whole_app=False)),
    (403, "SENDER_ID_MISMATCH", DeadTarget("SENDER_ID_MISMATCH")),
    (403, "PERMISSION_DENIED", Misconfigured("PERMISSION_DENIED")),
    (404, "UNREGISTERED", DeadTarget("UNREGISTERED")),
    (404, "NOT_FOUND", Misconfigured("NOT_FOUND")),
    (404, "", Misconfigured("NOT_FOUND")),
    (429, "QUOTA_EXCEEDED", Retry("QUOTA_EXCEEDED", 60.0)),
    (429, "RESOURCE_EXHAUSTED", Retry("RESOURCE_EXHAUSTED", 60.0)),
    (500, "INTERNAL", Retry("INTERNAL")),
    (502, "", Retry("UNAVAILABLE")),
    (503, "UNAVAILABLE", Retry("UNAVAILABLE")),
    (504, "", Retry("UNAVAILABLE")),
]


@pytest.mark.parametrize(("status", "reason", "outcome"), APNS_ROWS)
def test_apns_row(status: int, reason: str, outcome: PushOutcome) -> None:
    assert classify_apns(status, reason) == outcome


@pytest.mark.parametrize(("status", "word", "outcome"), FCM_ROWS)
def test_fcm_row(status: int, word: str, outcome: PushOutcome) -> None:
    assert classify_fcm(status, word) == outcome


def test_no_row_is_missing_from_the_lists_above() -> None:
    named = {(status, reason) for status, reason, _ in (*APNS_ROWS, *FCM_ROWS)}
    assert {row for row in (*APNS, *FCM) if row[1] != "*"} <= named


@pytest.mark.parametrize("classify", [classify_apns, classify_fcm])
def test_an_unknown_4xx_is_our_fault_and_an_unknown_5xx_is_tried_again(
    classify: Callable[[int, str], PushOutcome],
) -> None:
    assert classify(418, "Teapot") == Faulty("unknown")
    assert isinstance(classify(599, "Odd"), Retry)


@pytest.mark.parametrize("status", range(200, 600))
def test_no_unknown_answer_ever_kills_a_target(status: int) -> None:
    for outcome in (classify_apns(status, "New"), classify_fcm(status, "NEW")):
        assert not isinstance(outcome, DeadTarget)


def test_the_time_stamp_of_a_410_is_kept_in_seconds() -> None:
    assert classify_apns(410, "Unregistered", 1_500) == DeadTarget("Unregistered", 1.5)


def test_retry_after_replaces_the_tables_delay_but_not_that_of_a_refused_token() -> None:
    assert classify_fcm(503, "UNAVAILABLE", 7) == Retry("UNAVAILABLE", after=7)
    assert classify_fcm(401, "UNAUTHENTICATED", 7) == once("UNAUTHENTICATED", stale=True)
