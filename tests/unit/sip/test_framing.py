import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.framing import Keepalive, StreamFramer
from sipis.sip.limits import MAX_STREAM_MESSAGE

PING, PONG = Keepalive.PING, Keepalive.PONG
EMPTY = b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
BODY = b"MESSAGE sip:a@b SIP/2.0\r\nl:\r\n 0014\r\nX: \r\n\r\n\r\n\r\nhello\r\n\r\n "
REPLY = b"SIP/2.0 200 OK\r\nCONTENT-LENGTH \t: 2\r\nL: 2\r\n\r\nok"


def frames_of(pieces: list[bytes]) -> list[bytes | Keepalive]:
    framer = StreamFramer()
    return [frame for piece in pieces for frame in framer.feed(piece)]


def test_messages_are_cut_by_their_content_length() -> None:
    assert frames_of([EMPTY + BODY + REPLY]) == [EMPTY, BODY, REPLY]


def test_a_lone_crlf_is_a_pong_and_its_twin_completes_a_ping() -> None:
    assert frames_of([b"\r\n"]) == [PONG]
    assert frames_of([b"\r\n\r\n"]) == [PONG, PING]
    assert frames_of([b"\r\n\r\n\r\n" + EMPTY + b"\r\n"]) == [PONG, PING, PONG, EMPTY, PONG]


@pytest.mark.parametrize("number", [1, 2, 3, 8, 1001])
def test_line_breaks_of_a_run_are_told_one_by_one(number: int) -> None:
    assert frames_of([b"\r\n" * number + EMPTY]) == [*([PONG, PING] * number)[:number], EMPTY]
    assert frames_of([b"\r\n", b"\r\n" * number]) == ([PONG, PING] * number)[: number + 1]


@given(
    st.lists(st.sampled_from([EMPTY, BODY, REPLY, b"\r\n", b"\r\n\r\n"]), max_size=6),
    st.lists(st.integers(0, 400), max_size=30),
)
def test_any_split_gives_the_same_frames(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert frames_of(pieces) == frames_of([stream])
    assert frames_of([stream[i : i + 1] for i in range(len(stream))]) == frames_of([stream])
    assert b"".join(f for f in frames_of([stream]) if isinstance(f, bytes)) == b"".join(
        part for part in parts if len(part) > 4
    )


@pytest.mark.parametrize(
    "length",
    [b"X: 0", b"Content-Length: -1", b"Content-Length: 1, 1", b"l: 1\r\nl: 2", b"l: 0x1", b"l:"],
)
def test_a_message_that_does_not_tell_its_end_breaks_the_stream(length: bytes) -> None:
    framer = StreamFramer()
    with pytest.raises(RemoteProtocolError) as caught:
        framer.feed(b"OPTIONS sip:a@b SIP/2.0\r\n" + length + b"\r\n\r\n")
    assert caught.value.status_hint == 400
    assert framer.broken
    with pytest.raises(RemoteProtocolError):
        framer.feed(EMPTY)


def test_frames_before_the_break_are_not_lost() -> None:
    framer = StreamFramer()
    assert framer.feed(EMPTY + b"OPTIONS sip:a@b SIP/2.0\r\n\r\n") == [EMPTY]
    assert framer.broken
    with pytest.raises(RemoteProtocolError):
        framer.feed(b"")


def test_a_sound_stream_is_not_broken() -> None:
    framer = StreamFramer()
    framer.feed(EMPTY + EMPTY[:10])
    assert not framer.broken


@pytest.mark.parametrize(
    "data", [b"l: %d\r\n\r\n" % MAX_STREAM_MESSAGE, b"x" * (MAX_STREAM_MESSAGE + 1)]
)
def test_an_oversize_message_owes_513(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        StreamFramer().feed(b"OPTIONS sip:a@b SIP/2.0\r\n" + data)
    assert caught.value.status_hint == 513


def test_a_message_of_exactly_the_limit_passes() -> None:
    head = b"OPTIONS sip:a@b SIP/2.0\r\nl: 65480\r\n\r\n"
    message = head + b"x" * 65480
    assert len(message) <= MAX_STREAM_MESSAGE
    assert frames_of([message]) == [message]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_arbitrary_bytes_are_framed_or_blamed_on_the_peer(data: bytes, cut: int) -> None:
    framer = StreamFramer()
    for piece in (data[:cut], data[cut:]):
        try:
            framer.feed(piece)
        except RemoteProtocolError:
            assert framer.broken


def test_half_a_message_is_pending_until_it_is_whole() -> None:
    framer = StreamFramer()
    framer.feed(EMPTY[:10])
    assert (framer.pending, framer.held) == (True, 10)
    framer.feed(EMPTY[10:])
    assert (framer.pending, framer.held) == (False, 0)
