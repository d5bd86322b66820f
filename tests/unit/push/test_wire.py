"""Wire against the `h2` library as the server: two implementations that never met."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.events import StreamReset as H2StreamReset
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from sipis.push.wire import (
    DataArrived,
    Event,
    Goaway,
    HeaderList,
    HeadersArrived,
    SettingsArrived,
    StreamReset,
    Wire,
    WireError,
)

REQUEST: HeaderList = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"localhost"),
    (b":path", b"/3/device/phone"),
    (b"authorization", b"bearer token"),
]
OK: HeaderList = [(b":status", b"200"), (b"apns-id", b"x")]
SETTLED = SettingsFrame(0).serialize()


class Server:
    """The library's server, joined to a wire in memory."""

    def __init__(self, settings: dict[SettingCodes | int, int] | None = None) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.wire = Wire()
        self.events = self.turn()

    def turn(self, cut: int = 1 << 20) -> list[Event]:
        """Carry bytes both ways until none are left; return what the wire told."""
        told: list[Event] = []
        self.seen = self.h2.receive_data(self.wire.output())
        while data := self.h2.data_to_send():
            for at in range(0, len(data), cut):
                told += self.wire.receive(data[at : at + cut])
            self.seen += self.h2.receive_data(self.wire.output())
        return told

    def request(self, body: bytes = b"{}") -> int:
        stream = self.wire.open(REQUEST)
        self.wire.send(stream, body, last=True)
        return stream


def settled() -> Wire:
    wire = Wire()
    wire.receive(SETTLED)
    wire.open(REQUEST)
    wire.output()
    return wire


def test_a_request_arrives_as_it_was_sent() -> None:
    server = Server()
    stream = server.request(b'{"v":1}')
    server.turn()
    received = [each for each in server.seen if isinstance(each, RequestReceived)]
    assert [tuple(header) for header in received[0].headers] == REQUEST
    assert [each.data for each in server.seen if isinstance(each, DataReceived)] == [b'{"v":1}']
    assert [each.stream_id for each in server.seen if isinstance(each, StreamEnded)] == [stream]


def test_a_repeated_header_costs_a_byte_the_second_time() -> None:
    wire = Wire()
    wire.output()
    sizes = []
    for _ in range(2):
        wire.open(REQUEST)
        sizes.append(len(wire.output()))
    assert sizes[1] < sizes[0] - 20


@pytest.mark.parametrize("cut", [1, 5, 9, 10, 1 << 20])
def test_a_response_is_read_however_its_bytes_are_cut(cut: int) -> None:
    server = Server()
    stream = server.request()
    server.turn()
    server.h2.send_headers(stream, OK)
    server.h2.send_data(stream, b"body", end_stream=True)
    assert server.turn(cut) == [
        HeadersArrived(stream, OK, ended=False),
        DataArrived(stream, b"body", ended=True),
    ]


def test_padding_and_priority_are_taken_off() -> None:
    server = Server()
    stream = server.request()
    server.turn()
    server.h2.send_headers(stream, OK)
    server.h2.send_data(stream, b"body", end_stream=True, pad_length=7)
    assert server.turn()[-1] == DataArrived(stream, b"body", ended=True)
    block = server.h2.encoder.encode(OK)
    padded = HeadersFrame(stream, block, flags=["END_HEADERS", "PADDED", "PRIORITY"], pad_length=3)
    (told,) = server.wire.receive(padded.serialize())
    assert told == HeadersArrived(stream, OK, ended=False)


def test_a_header_block_in_pieces_is_one_event() -> None:
    wire = settled()
    block = H2Connection().encoder.encode(OK)
    assert wire.receive(HeadersFrame(1, block[:2], flags=["END_STREAM"]).serialize()) == []
    assert wire.receive(ContinuationFrame(1, block[2:4]).serialize()) == []
    last = ContinuationFrame(1, block[4:], flags=["END_HEADERS"])
    assert wire.receive(last.serialize()) == [HeadersArrived(1, OK, ended=True)]


def test_a_large_header_list_is_sent_in_pieces() -> None:
    server = Server()
    big = [*REQUEST, (b"x-big", b"y" * 20_000)]
    server.wire.open(big)
    server.turn()
    (received,) = [each for each in server.seen if isinstance(each, RequestReceived)]
    assert len(received.headers) == len(big)


def test_the_peers_limits_are_in_force_at_once_and_acknowledged() -> None:
    server = Server({SettingCodes.MAX_CONCURRENT_STREAMS: 7, SettingCodes.INITIAL_WINDOW_SIZE: 10})
    assert SettingsArrived() in server.events
    assert server.wire.max_streams == 7
    assert server.wire.room(server.wire.open(REQUEST)) == 10


def test_a_smaller_initial_window_shrinks_what_open_streams_may_send() -> None:
    server = Server()
    stream = server.wire.open(REQUEST)
    server.wire.send(stream, bytes(100), last=False)
    server.turn()
    server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 50})
    server.turn()
    assert server.wire.room(stream) == 0
    server.h2.increment_flow_control_window(60, stream)
    server.turn()
    assert server.wire.room(stream) == 10


def test_room_is_the_smallest_of_stream_connection_and_frame() -> None:
    server = Server()
    stream = server.wire.open(REQUEST)
    assert server.wire.room(stream) == 16_384
    for _ in range(3):
        server.wire.send(server.wire.open(REQUEST), bytes(16_384), last=True)
    server.wire.send(server.wire.open(REQUEST), bytes(16_000), last=True)
    assert server.wire.room(stream) == server.wire.window == 65_535 - 3 * 16_384 - 16_000


def test_a_stream_given_up_is_reset_and_its_late_answer_is_still_decoded() -> None:
    server = Server()
    stream = server.request()
    server.turn()
    server.h2.send_headers(stream, [*OK, (b"x-new", b"entry of the compression table")])
    server.wire.reset(stream)
    server.turn()
    assert any(isinstance(each, H2StreamReset) for each in server.seen)
    second = server.request()
    server.turn()
    server.h2.send_headers(second, [*OK, (b"x-new", b"entry of the compression table")])
    (told,) = server.turn()
    assert isinstance(told, HeadersArrived)
    assert told.headers[-1] == (b"x-new", b"entry of the compression table")


def test_window_is_given_back_for_what_was_read() -> None:
    server = Server()
    for _ in range(20):
        stream = server.request()
        server.turn()
        server.h2.send_headers(stream, OK)
        server.h2.send_data(stream, bytes(10_000), end_stream=True)
        server.turn()
    assert server.h2.outbound_flow_control_window > 10_000


def test_pings_are_answered_and_answers_are_silent() -> None:
    server = Server()
    server.h2.ping(b"12345678")
    assert server.turn() == []
    assert any(type(each).__name__ == "PingAckReceived" for each in server.seen)
    server.wire.ping(b"abcdefgh")
    assert server.turn() == []


def test_goaway_and_reset_are_told_and_the_connection_lives_on() -> None:
    wire = settled()
    frames = [
        GoAwayFrame(0, last_stream_id=1, error_code=2, additional_data=b"why"),
        RstStreamFrame(1, error_code=7),
    ]
    told = wire.receive(b"".join(frame.serialize() for frame in frames))
    assert told == [Goaway(1, 2, b"why"), StreamReset(1, 7)]


def test_unknown_frames_are_ignored() -> None:
    assert settled().receive(b"\x00\x00\x02\xfa\x00\x00\x00\x00\x00ab") == []


BROKEN: list[tuple[str, Frame | bytes]] = [
    ("a frame larger than allowed", b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"),
    ("data on a stream never opened", DataFrame(99, b"x")),
    ("headers on an even stream", HeadersFrame(2, b"", flags=["END_HEADERS"])),
    ("a block that does not decode", HeadersFrame(1, b"\xff" * 3, flags=["END_HEADERS"])),
    ("a server push", PushPromiseFrame(1, promised_stream_id=2, flags=["END_HEADERS"])),
    ("an empty window update", b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
    ("a window beyond the limit", WindowUpdateFrame(0, window_increment=2**31 - 1)),
    ("a frame size below the least", SettingsFrame(0, settings={5: 1})),
    ("a continuation of nothing", ContinuationFrame(1, b"", flags=["END_HEADERS"])),
    ("padding longer than the frame", b"\x00\x00\x01\x00\x08\x00\x00\x00\x01\x05"),
    ("a reset of the wrong length", b"\x00\x00\x01\x03\x00\x00\x00\x00\x01\x00"),
    ("a goaway too short", b"\x00\x00\x01\x07\x00\x00\x00\x00\x00\x00"),
    ("a ping of the wrong length", b"\x00\x00\x01\x06\x00\x00\x00\x00\x00\x00"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "frame"), BROKEN, ids=[what for what, _ in BROKEN])
def test_broken(what: str, frame: Frame | bytes) -> None:
    with pytest.raises(WireError):
        settled().receive(frame if isinstance(frame, bytes) else frame.serialize())


def test_a_block_interrupted_by_another_frame_is_an_error() -> None:
    wire = settled()
    wire.receive(HeadersFrame(1, b"\x88").serialize())
    with pytest.raises(WireError):
        wire.receive(PingFrame(0, b"12345678").serialize())


def test_a_peer_that_does_not_begin_with_settings_speaks_something_else() -> None:
    with pytest.raises(WireError):
        Wire().receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@given(data=st.binary(max_size=400), begun=st.booleans())
def test_garbage_is_an_error_or_nothing(data: bytes, *, begun: bool) -> None:
    wire = settled() if begun else Wire()
    try:
        wire.receive(data)
    except WireError:
        return


@given(st.integers(0, 9), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=64))
def test_every_frame_with_any_content_is_an_error_or_an_event(
    kind: int, flags: int, stream: int, payload: bytes
) -> None:
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    try:
        events = settled().receive(head + payload)
    except WireError:
        return
    assert len(events) <= 1
