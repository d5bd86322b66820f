"""Reads the error body of FCM down to the one word that decides.

Refuses to trust the shape: a proxy may have answered. The order is FcmError's `errorCode`, then the
error's `status`, then nothing (the HTTP status alone decides).
"""

import json
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from sipis.push.tables import AT_SIZE, AT_TARGET

TARGET_FIELDS: Final = frozenset({"message.token", "message.fid", "token", "fid"})
LEAST_AFTER: Final = 1.0
MOST_AFTER: Final = 3600.0

Node = dict[str, object]


def deciding_word(body: bytes, *, payload_known_good: bool) -> str:
    """Return the word to look up in the FCM table; "" when the body has none.

    INVALID_ARGUMENT says nothing until it is known what was invalid: the target when a field
    violation names it, or when FCM itself complains although the same kind of payload was accepted
    before.
    """
    error = _error(body)
    code = next((str(each["errorCode"]) for each in _details(error) if "errorCode" in each), "")
    word = code or str(error.get("status", ""))
    if word != "INVALID_ARGUMENT":
        return word
    fields = set(_violated_fields(error))
    if fields & TARGET_FIELDS or (code and not fields and payload_known_good):
        return AT_TARGET
    return AT_SIZE if "too big" in str(error.get("message", "")).lower() else word


def seconds_of(retry_after: str | None, now: float) -> float | None:
    """Return a Retry-After header in seconds from `now` (Unix), 1 to 3600; None if unusable.

    RFC 9110 10.2.3: a number of seconds or a date.
    """
    if not retry_after:
        return None
    try:
        seconds = float(retry_after) if retry_after.isdigit() else _until(retry_after, now)
    except (ValueError, TypeError):
        return None
    return min(max(seconds, LEAST_AFTER), MOST_AFTER)


def _until(date: str, now: float) -> float:
    return parsedate_to_datetime(date).timestamp() - now


def _error(body: bytes) -> Node:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _details(error: Node) -> Iterator[Node]:
    details = error.get("details")
    if isinstance(details, list):
        yield from (each for each in details if isinstance(each, dict))


def _violated_fields(error: Node) -> Iterator[str]:
    for detail in _details(error):
        violations = detail.get("fieldViolations")
        if isinstance(violations, list):
            yield from (str(each.get("field")) for each in violations if isinstance(each, dict))
