import json
import uuid

import pytest
from aioapns.common import NotificationRequest, PushType

from sipis.model import Environment, PushEvent, PushService, PushTarget, TargetKind
from sipis.push.apns_request import LOOKS, body_of, compose, headers_of
from sipis.push.provider import TargetedPush
from sipis.world.apns_rules import wrong_request
from tests.support.push import notification

NOW = 1_800_000_000.5


def request(
    event: PushEvent, kind: TargetKind = TargetKind.ALERT, collapse: str | None = None
) -> NotificationRequest:
    note = notification(event)
    if collapse is not None:
        note = type(note)(note.instance, note.app, event, note.payload, 0.0, collapse=collapse)
    push = TargetedPush(
        note,
        PushTarget(PushService.APNS, kind, "phone"),
        Environment.PRODUCTION,
        str(uuid.UUID(int=1)),
        0.0,
    )
    composed = compose(push, "org.example.app")
    assert composed is not None
    return composed


def headers(composed: NotificationRequest) -> dict[str, str]:
    listed = headers_of(composed, authority="localhost", token="t", now=NOW)
    return {name.decode(): value.decode() for name, value in listed}


@pytest.mark.parametrize("event", list(PushEvent))
def test_every_event_keeps_apples_rules(event: PushEvent) -> None:
    composed = request(event)
    body = body_of(composed)
    assert body is not None
    assert wrong_request(headers(composed), body) is None


def test_an_event_that_is_no_call_is_never_composed_for_a_voip_token() -> None:
    for event in LOOKS:
        push = TargetedPush(
            notification(event),
            PushTarget(PushService.APNS, TargetKind.VOIP, "phone"),
            Environment.PRODUCTION,
            str(uuid.UUID(int=1)),
            0.0,
        )
        assert (compose(push, "org.example.app") is None) == (event is not PushEvent.CALL)


def test_a_call_by_alert_breaks_through_and_is_replaced_by_its_end() -> None:
    call = request(PushEvent.CALL)
    assert call.message["aps"] == {
        "alert": {"loc-key": "SIPIS_CALL"},
        "mutable-content": 1,
        "sound": "default",
        "interruption-level": "time-sensitive",
    }
    assert headers(call)["apns-expiration"] == "0"
    assert headers(call)["apns-collapse-id"] == str(uuid.UUID(int=7))


def test_background_pushes_have_low_priority_and_show_nothing() -> None:
    verify = request(PushEvent.VERIFY)
    assert verify.push_type is PushType.BACKGROUND
    assert verify.message["aps"] == {"content-available": 1}
    assert headers(verify)["apns-priority"] == "5"


def test_what_may_wait_expires_at_a_wall_clock_time() -> None:
    assert headers(request(PushEvent.TEST))["apns-expiration"] == str(int(NOW) + 60)


def test_a_collapse_id_is_cut_at_64_bytes_between_characters() -> None:
    composed = request(PushEvent.MESSAGE, collapse="é" * 40)
    assert headers(composed)["apns-collapse-id"] == "é" * 32


def test_what_differs_in_every_push_stays_out_of_the_compression_table() -> None:
    composed = request(PushEvent.MESSAGE, collapse="talk")
    listed = headers_of(composed, authority="localhost", token="t", now=NOW)
    unindexed = {each[0] for each in listed if not getattr(each, "indexable", True)}
    assert unindexed == {b":path", b"apns-expiration", b"apns-id", b"apns-collapse-id"}


@pytest.mark.parametrize(("kind", "limit"), [(TargetKind.VOIP, 5120), (TargetKind.ALERT, 4096)])
def test_a_body_beyond_the_limit_of_its_type_is_refused(kind: TargetKind, limit: int) -> None:
    composed = request(PushEvent.CALL, kind)
    envelope = len(json.dumps({**composed.message, "x": ""}, separators=(",", ":")))
    composed.message["x"] = "y" * (limit - envelope)
    assert len(body_of(composed) or b"") == limit
    composed.message["x"] += "y"
    assert body_of(composed) is None
