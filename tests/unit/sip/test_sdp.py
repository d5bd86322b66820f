import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.sip.sdp import without_crypto

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1/127\r\nt=0 0\r\na=sendrecv\r\n"
    b"m=audio 49170/2 RTP/SAVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\n"
    b"m=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n"
)


def test_keys_are_taken_out_with_every_other_byte_kept() -> None:
    lines = OFFER.splitlines(keepends=True)
    kept = b"".join(line for line in lines if not line.startswith(b"a=crypto"))
    assert kept != OFFER
    assert without_crypto(OFFER) == kept


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


@given(st.binary(max_size=60).map(b"v=0\n".__add__))
def test_taking_keys_out_of_anything_leaves_none_to_take_out(body: bytes) -> None:
    kept = without_crypto(body)
    assert without_crypto(kept) == kept
