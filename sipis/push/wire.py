"""The client's side of one HTTP/2 connection without I/O (RFC 9113), as much as pushes need.

Frames are ours, header compression is `hpack`. The general library is not used here because its
state machine closes at the first GOAWAY and then rejects the answers that are still due, and
because it costs four times the CPU of all else that a push does (bench/push.py).

Refuses server push, upgrades and priorities. Refuses to send beyond the peer's windows: whoever
sends asks room() first. A response longer than the initial window is never asked for, so streams
get no further window; the connection does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hpack import Decoder, Encoder, HPACKError

from sipis.errors import TransportError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = 9
MOST_FRAME: Final = 16_384
MOST_HEADERS: Final = 64 * 1024
WINDOW: Final = 65_535
MOST_WINDOW: Final = (1 << 31) - 1
GIVE_BACK_AT: Final = WINDOW // 2

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE = 0x0, 0x1, 0x3, 0x4, 0x5
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0x6, 0x7, 0x8, 0x9
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
NO_PUSH: Final = b"\x00\x02\x00\x00\x00\x00"
TABLE_SIZE, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 0x1, 0x3, 0x4, 0x5
MOST_TABLE: Final = 4096

REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8

HeaderList = list[tuple[bytes, bytes]]


class WireError(TransportError):
    """The peer broke HTTP/2; the connection is of no more use."""


@dataclass(slots=True)
class HeadersArrived:
    """A header block: of the response, informational, or trailers."""

    stream: int
    headers: HeaderList
    ended: bool


@dataclass(slots=True)
class DataArrived:
    """A piece of a response body."""

    stream: int
    data: bytes
    ended: bool


@dataclass(slots=True)
class StreamReset:
    """The peer ended a stream."""

    stream: int
    code: int


@dataclass(slots=True)
class Goaway:
    """The peer processes no stream above `last`; it may still answer the others."""

    last: int
    code: int
    debug: bytes


@dataclass(slots=True)
class SettingsArrived:
    """Limits have changed; they are in force already."""


Event = HeadersArrived | DataArrived | StreamReset | Goaway | SettingsArrived


class Wire:
    """Bytes in, events out; requests in, bytes out."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._decoder = Decoder(MOST_HEADERS)
        self._out = [PREFACE, _frame(SETTINGS, 0, 0, NO_PUSH)]
        self._buffer = b""
        self._next = 1
        self._windows: dict[int, int] = {}
        self._initial_window = WINDOW
        self._most_frame = MOST_FRAME
        self._block: tuple[int, int, bytes] | None = None
        self._to_give_back = 0
        self._settled = False
        self.window = WINDOW
        """What may still be sent on the whole connection."""
        self.max_streams = MOST_WINDOW
        """The peer's live MAX_CONCURRENT_STREAMS."""
        self._handlers: dict[int, Callable[[int, int, bytes], Event | None]] = {
            DATA: self._on_data,
            HEADERS: self._on_headers,
            RST_STREAM: self._on_reset,
            SETTINGS: self._on_settings,
            PUSH_PROMISE: self._on_push_promise,
            PING: self._on_ping,
            GOAWAY: self._on_goaway,
            WINDOW_UPDATE: self._on_window_update,
            CONTINUATION: self._on_continuation,
        }

    # -- out -------------------------------------------------------------------------------------

    def open(self, headers: HeaderList) -> int:
        """Begin a request and return its stream; its body follows with send()."""
        stream = self._next
        self._next += 2
        self._windows[stream] = self._initial_window
        block = self._encoder.encode(headers, huffman=False)
        kind, size = HEADERS, self._most_frame
        while len(block) > size:
            self._out.append(_frame(kind, 0, stream, block[:size]))
            kind, block = CONTINUATION, block[size:]
        self._out.append(_frame(kind, END_HEADERS, stream, block))
        return stream

    def room(self, stream: int) -> int:
        """Return how many bytes of a body may be sent on a stream in one piece now."""
        return max(0, min(self.window, self._windows[stream], self._most_frame))

    def send(self, stream: int, data: bytes, *, last: bool) -> None:
        """Send a piece of a body that room() has allowed."""
        self.window -= len(data)
        self._windows[stream] -= len(data)
        self._out.append(_frame(DATA, END_STREAM if last else 0, stream, data))

    def reset(self, stream: int, code: int = CANCEL) -> None:
        """Give a stream up."""
        self.forget(stream)
        self._out.append(_frame(RST_STREAM, 0, stream, code.to_bytes(4)))

    def forget(self, stream: int) -> None:
        """Keep no more state for a stream that has ended."""
        self._windows.pop(stream, None)

    def ping(self, data: bytes) -> None:
        """Ask for a sign of life; `data` is 8 bytes."""
        self._out.append(_frame(PING, 0, 0, data))

    def output(self) -> bytes:
        """Return what is to be written, once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # -- in --------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes and return what they told; WireError when the peer broke the protocol."""
        buffer = self._buffer + data if self._buffer else data
        events: list[Event] = []
        at = 0
        while at + HEAD <= len(buffer):
            length = int.from_bytes(buffer[at : at + 3])
            _require(length <= MOST_FRAME)
            end = at + HEAD + length
            if end > len(buffer):
                break
            event = self._on_frame(buffer[at : at + HEAD], buffer[at + HEAD : end])
            if event is not None:
                events.append(event)
            at = end
        self._buffer = buffer[at:]
        self._give_back()
        return events

    def _on_frame(self, head: bytes, payload: bytes) -> Event | None:
        kind, flags = head[3], head[4]
        _require(self._settled or kind == SETTINGS)
        _require(self._block is None or kind == CONTINUATION)
        handler = self._handlers.get(kind)  # unknown frames are ignored (RFC 9113 4.1)
        stream = int.from_bytes(head[5:9]) & MOST_WINDOW
        return handler(flags, stream, payload) if handler is not None else None

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> Event | None:
        self._require_opened(stream)
        payload = _unpadded(flags, payload)
        block = payload[5:] if flags & PRIORITY else payload
        return self._on_block(stream, flags, block, complete=bool(flags & END_HEADERS))

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> Event | None:
        _require(self._block is not None and self._block[0] == stream)
        assert self._block is not None
        _, first_flags, begun = self._block
        _require(len(begun) + len(payload) <= MOST_HEADERS)
        complete = bool(flags & END_HEADERS)
        return self._on_block(stream, first_flags, begun + payload, complete=complete)

    def _on_block(self, stream: int, flags: int, block: bytes, *, complete: bool) -> Event | None:
        """Decode a whole block, even of a stream given up: the compression state is shared."""
        if not complete:
            self._block = (stream, flags, block)
            return None
        self._block = None
        try:
            headers = self._decoder.decode(block, raw=True)
        except HPACKError as broken:
            raise WireError("the peer sent a broken header block") from broken
        return HeadersArrived(stream, list(headers), bool(flags & END_STREAM))

    def _on_data(self, flags: int, stream: int, payload: bytes) -> Event:
        self._require_opened(stream)
        self._to_give_back += len(payload)
        return DataArrived(stream, _unpadded(flags, payload), bool(flags & END_STREAM))

    def _on_reset(self, _: int, stream: int, payload: bytes) -> Event:
        self._require_opened(stream)
        _require(len(payload) == 4)
        return StreamReset(stream, int.from_bytes(payload))

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> Event | None:
        _require(stream == 0 and len(payload) % 6 == 0)
        if flags & ACK:
            return None
        for at in range(0, len(payload), 6):
            name, value = int.from_bytes(payload[at : at + 2]), payload[at + 2 : at + 6]
            self._set(name, int.from_bytes(value))
        self._settled = True
        self._out.append(_frame(SETTINGS, ACK, 0, b""))
        return SettingsArrived()

    def _set(self, name: int, value: int) -> None:
        if name == MAX_STREAMS:
            self.max_streams = value
        elif name == TABLE_SIZE:
            self._encoder.header_table_size = min(value, MOST_TABLE)
        elif name == MAX_FRAME:
            _require(MOST_FRAME <= value < 1 << 24)
            self._most_frame = value
        elif name == INITIAL_WINDOW:
            _require(value <= MOST_WINDOW)
            change, self._initial_window = value - self._initial_window, value
            for stream in self._windows:
                self._windows[stream] += change

    def _on_ping(self, flags: int, _: int, payload: bytes) -> None:
        _require(len(payload) == 8)
        if not flags & ACK:
            self._out.append(_frame(PING, ACK, 0, payload))

    def _on_goaway(self, _: int, stream: int, payload: bytes) -> Event:
        _require(stream == 0 and len(payload) >= 8)
        last = int.from_bytes(payload[:4]) & MOST_WINDOW
        return Goaway(last, int.from_bytes(payload[4:8]), payload[8:])

    def _on_window_update(self, _: int, stream: int, payload: bytes) -> None:
        _require(len(payload) == 4)
        more = int.from_bytes(payload) & MOST_WINDOW
        _require(more > 0)
        if stream == 0:
            self.window += more
            _require(self.window <= MOST_WINDOW)
        elif stream in self._windows:
            self._windows[stream] += more
            _require(self._windows[stream] <= MOST_WINDOW)

    def _on_push_promise(self, _: int, __: int, ___: bytes) -> None:
        raise WireError("the peer pushed although that was switched off")

    def _require_opened(self, stream: int) -> None:
        _require(stream % 2 == 1 and stream < self._next)

    def _give_back(self) -> None:
        """Return window to the peer for what was read."""
        if self._to_give_back >= GIVE_BACK_AT:
            self._out.append(_frame(WINDOW_UPDATE, 0, 0, self._to_give_back.to_bytes(4)))
            self._to_give_back = 0


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return b"".join((len(payload).to_bytes(3), bytes((kind, flags)), stream.to_bytes(4), payload))


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & PADDED:
        return payload
    _require(len(payload) > 0 and payload[0] < len(payload))
    return payload[1 : len(payload) - payload[0]]


def _require(kept: bool) -> None:
    if not kept:
        raise WireError("the peer broke HTTP/2")
