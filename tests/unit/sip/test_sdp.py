import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.sdp import Media, SessionDescription, without_crypto

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1/127\r\nt=0 0\r\na=sendrecv\r\n"
    b"m=audio 49170/2 RTP/SAVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\n"
    b"m=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n"
)


def test_addresses_and_media_are_read_in_order() -> None:
    session = SessionDescription.parse(OFFER)
    assert session.connection == "192.0.2.1"
    assert session.attributes == ("sendrecv",)
    assert session.addresses == {"192.0.2.1", "2001:db8::1"}
    audio, video = session.media
    assert (audio.kind, audio.port, audio.profile) == ("audio", 49170, "RTP/SAVP")
    assert audio.formats == ("0", "8", "101")
    assert not audio.is_refused
    assert video == Media("video", 0, "RTP/AVP", ("31",), "2001:db8::1")
    assert video.is_refused


def test_crypto_is_seen_and_taken_out_with_every_other_byte_kept() -> None:
    stripped = without_crypto(OFFER)
    assert SessionDescription.parse(OFFER).has_crypto
    assert not SessionDescription.parse(stripped).has_crypto
    lines = OFFER.splitlines(keepends=True)
    assert stripped == b"".join(line for line in lines if not line.startswith(b"a=crypto"))


def test_session_level_crypto_is_seen() -> None:
    assert SessionDescription.parse(b"v=0\na=crypto:1 x\n").has_crypto


@pytest.mark.parametrize(
    "line", [b"a=crypto:1 K", b"A=CRYPTO:1 K", b" a = crypto:1 K", b"a=Crypto:1 K\xff"]
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b""])
def test_no_spelling_or_line_ending_saves_a_key(line: bytes, end: bytes) -> None:
    head = b"v=0" + (end or b"\n")
    assert without_crypto(head + line + end) == head


def test_lookalikes_are_kept() -> None:
    body = b"v=0\r\na=cryptographer\r\na=x-crypto:1\r\ns=a=crypto:1\r\n"
    assert without_crypto(body) == body


def test_keys_inside_a_multipart_body_are_taken_out() -> None:
    body = b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\na=crypto:1 K\r\n--x--\r\n"
    assert b"crypto" not in without_crypto(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"s=-\r\n",
        b"v=0\r\nm=audio\r\n",
        b"v=0\r\nm=audio x RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 65536 RTP/AVP 0\r\n",
        b"v=0\r\nc=IN IP4\r\n",
        b"v=0\r\n" + b"a=x\r\n" * 3000,
    ],
)
def test_a_description_that_we_cannot_read_owes_488(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SessionDescription.parse(body)
    assert caught.value.status_hint == 488


@given(st.binary(max_size=60).map(b"v=0\n".__add__))
def test_arbitrary_bodies_are_read_or_blamed_on_the_peer(body: bytes) -> None:
    kept = without_crypto(body)
    assert without_crypto(kept) == kept
    with contextlib.suppress(RemoteProtocolError):
        assert len(SessionDescription.parse(body).media) <= body.count(b"m=")
