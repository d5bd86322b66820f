"""What a MESSAGE carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.relay.content import Treatment, message_id, preview, treatment
from sipis.sip.message import Request

CPIM = b"NS: imdn <urn>\r\nimdn.Message-ID: abc\r\n\r\nContent-Type: %s\r\n\r\nbody"


def message(content: str | None, body: bytes = b"Hello") -> Request:
    headers = [] if content is None else [("Content-Type", content)]
    return Request.build("MESSAGE", "sip:a@b", headers, body)


@pytest.mark.parametrize(
    ("content", "body", "expected"),
    [
        ("text/plain", b"Hello", Treatment.PUSH),
        (None, b"Hello", Treatment.PUSH),
        ("Application/IM-IsComposing+XML;charset=x", b"", Treatment.DROP),
        ("message/imdn+xml", b"", Treatment.STORE),
        ("message/cpim", CPIM % b"message/imdn+xml", Treatment.STORE),
        ("message/cpim", CPIM % b"application/im-iscomposing+xml", Treatment.DROP),
        ("message/cpim", CPIM % b"text/plain", Treatment.PUSH),
        ("application/vnd.3gpp.sms", b"\x00\xff", Treatment.PUSH),
    ],
)
def test_each_content_is_treated_as_it_deserves(
    content: str | None, body: bytes, expected: Treatment
) -> None:
    assert treatment(message(content, body)) is expected


def test_the_id_of_an_instant_message_is_found_in_cpim_alone() -> None:
    assert message_id(message("message/cpim", CPIM % b"text/plain")) == "abc"
    assert message_id(message("text/plain", CPIM % b"text/plain")) is None


def test_only_plain_text_is_previewed() -> None:
    assert preview(message("text/plain; charset=utf-8", "Grüße".encode())) == "Grüße"
    assert preview(message("text/html", b"<b>")) is None


@given(st.sampled_from(["text/plain", "message/cpim", "x/y"]), st.binary(max_size=500))
def test_no_body_is_too_strange(content: str, body: bytes) -> None:
    asked = message(content, body)
    assert treatment(asked) in Treatment
    assert message_id(asked) is None or content == "message/cpim"
    preview(asked)
