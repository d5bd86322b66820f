import base64
import json

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import FieldError
from sipis.model import PushEvent, PushService, PushTarget, TargetKind
from sipis.push.payload import (
    OTHER_LIMIT,
    VOIP_LIMIT,
    WRAPPER,
    Facts,
    call_uuid,
    check_push_key,
    compose,
    encoded,
    limit_for,
    minimal,
)

INSTANCE = "0123456789abcdef" * 2
KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def facts(
    event: PushEvent = PushEvent.CALL, *, sender: str | None = "Alice", text: str | None = None
) -> Facts:
    return Facts(event, INSTANCE, "n1", 1000.7, 1030.2, call="c", sender=sender, text=text)


def opened(payload: dict[str, object], event: PushEvent = PushEvent.CALL) -> dict[str, object]:
    info = f"sipis-push-v1|{INSTANCE}|{event.value}".encode()
    plain = SUITE.decrypt(base64.b64decode(str(payload["sealed"])), KEY, info)
    assert len(plain) % 256 == 0
    values: dict[str, object] = json.loads(plain)
    return values


def test_without_preview_and_key_only_ids_travel() -> None:
    assert compose(facts(text="secret")) == {
        "v": 1,
        "event": "call",
        "instance": INSTANCE,
        "node": "n1",
        "sent_at": 1000,
        "deadline": 1030,
        "call": "c",
    }


def test_preview_shows_name_and_text() -> None:
    payload = compose(facts(PushEvent.MESSAGE, text="Hi"), preview=True)
    assert (payload["from"], payload["text"]) == ("Alice", "Hi")


def test_a_push_key_hides_what_preview_would_show() -> None:
    payload = compose(facts(text="Hi"), push_key=PUBLIC, preview=True)
    assert payload.keys() & {"from", "text"} == set()
    assert opened(payload) == {"call": "c", "deadline": 1030, "from": "Alice", "text": "Hi"}


def test_a_box_opens_only_for_its_instance_and_event() -> None:
    payload = compose(facts(), push_key=PUBLIC)
    with pytest.raises(InvalidTag):
        opened(payload, PushEvent.MESSAGE)


def test_names_of_different_length_make_boxes_of_the_same_length() -> None:
    short = compose(facts(sender="A"), push_key=PUBLIC)
    longer = compose(facts(sender="A" * 100), push_key=PUBLIC)
    assert len(str(short["sealed"])) == len(str(longer["sealed"]))


def test_nothing_to_hide_needs_no_box() -> None:
    assert "sealed" not in compose(facts(sender=None), push_key=PUBLIC)


@pytest.mark.parametrize("key", [b"", b"short", bytes(32)])
def test_a_key_that_is_none_is_refused_by_name(key: bytes) -> None:
    with pytest.raises(FieldError, match="push_key"):
        check_push_key(key)


def test_a_good_key_is_taken() -> None:
    check_push_key(PUBLIC)


@given(
    sender=st.text(max_size=400),
    text=st.text(max_size=8000),
    limit=st.sampled_from([OTHER_LIMIT, VOIP_LIMIT]),
    sealed=st.booleans(),
)
def test_no_name_or_text_outgrows_the_limit(
    sender: str, text: str, limit: int, *, sealed: bool
) -> None:
    told = facts(PushEvent.MESSAGE, sender=sender, text=text)
    payload = compose(told, push_key=PUBLIC if sealed else None, preview=True, limit=limit)
    assert len(encoded(payload)) <= limit - WRAPPER


def test_a_long_text_keeps_its_beginning() -> None:
    payload = compose(facts(text="x" * 9000), push_key=PUBLIC)
    text = str(opened(payload)["text"])
    assert len(text) > 2000
    assert text.endswith("x…")


def test_the_minimal_payload_keeps_ids_alone() -> None:
    full = compose(facts(text="Hi"), preview=True)
    assert minimal(full) == compose(facts())
    assert minimal(compose(facts(), push_key=PUBLIC)) == compose(facts())


def test_only_voip_targets_among_themselves_get_the_larger_limit() -> None:
    voip = PushTarget(PushService.APNS, TargetKind.VOIP, "a")
    alert = PushTarget(PushService.APNS, TargetKind.ALERT, "b")
    assert limit_for([voip]) == VOIP_LIMIT
    assert limit_for([voip, alert]) == OTHER_LIMIT
    assert limit_for([]) == OTHER_LIMIT


def test_a_repeated_invite_has_the_same_call_uuid_and_another_instance_another() -> None:
    assert call_uuid("i", "c", "t") == call_uuid("i", "c", "t")
    assert call_uuid("i", "c", "t") != call_uuid("j", "c", "t")
    assert call_uuid("i", "ct", "") != call_uuid("i", "c", "t")


def test_codes_and_message_ids_travel_in_clear() -> None:
    told = Facts(PushEvent.VERIFY, INSTANCE, "n1", 0, 0, code="123", message="m1")
    assert compose(told) == {
        "v": 1, "event": "verify", "instance": INSTANCE, "node": "n1", "sent_at": 0,
        "deadline": 0, "code": "123", "message": "m1",
    }  # fmt: skip
