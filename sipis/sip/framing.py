"""Messages and keep-alives out of a byte stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1).

The same bytes give the same frames however they are split. Refuses a message without a sound
Content-Length, since nothing tells where it ends; such a stream is lost and must be closed.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import parse_number
from sipis.sip.limits import MAX_STREAM_MESSAGE

_CRLF: Final = b"\r\n"
_BREAKS: Final = re.compile(rb"(?:\r\n)*+")
_BLANK: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:([^\r]*+(?:\r\n[ \t][^\r]*+)*+)", re.IGNORECASE
)


class Keepalive(Enum):
    """Line breaks between messages.

    A lone CRLF is a pong. A second CRLF right behind it completes a ping; since the first cannot
    be known to be half of one, a ping is reported as PONG and then PING.
    """

    PONG = 1
    PING = 2


_PAIR: Final = (Keepalive.PONG, Keepalive.PING)


class StreamFramer:
    """Cuts one direction of a stream into frames; hold one for each flow."""

    __slots__ = ("_after_crlf", "_buffer", "_needed", "_problem", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._needed: int | None = None
        self._after_crlf = False
        self._problem: RemoteProtocolError | None = None

    @property
    def broken(self) -> bool:
        """Whether the stream can no longer be cut and must be closed."""
        return self._problem is not None

    @property
    def pending(self) -> bool:
        """Whether part of a message is held."""
        return bool(self._buffer)

    @property
    def held(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | Keepalive]:
        """The frames that these bytes complete.

        Raises RemoteProtocolError (400 or 513) once the stream is broken; frames found before the
        break are returned first, `broken` is then set and the next call raises.
        """
        self._buffer += data
        frames: list[bytes | Keepalive] = []
        try:
            while not self._problem:
                frames += self._take_keepalives()
                message = self._next_message()
                if message is None:
                    break
                frames.append(message)
        except RemoteProtocolError as problem:
            self._problem = problem
            self._buffer.clear()
        if self._problem and not frames:
            raise self._problem
        return frames

    def _take_keepalives(self) -> Sequence[Keepalive]:
        """All line breaks that stand before the next message, at once: a stranger may send many."""
        if self._needed is not None or not self._buffer.startswith(_CRLF):
            return ()
        run = _BREAKS.match(self._buffer)
        assert run is not None
        first, count = int(self._after_crlf), run.end() // len(_CRLF)
        del self._buffer[: run.end()]
        self._after_crlf = (first + count) % 2 == 1
        return (_PAIR * (count // 2 + 1))[first : first + count]

    def _next_message(self) -> bytes | None:
        if self._needed is None:
            self._needed = self._measure()
        if self._needed is None or len(self._buffer) < self._needed:
            return None
        return self._take_message(self._needed)

    def _take_message(self, size: int) -> bytes:
        message = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._needed, self._searched, self._after_crlf = None, 0, False
        return message

    def _measure(self) -> int | None:
        """Bytes of the message that opens the buffer; None while its head is incomplete."""
        end = self._buffer.find(_BLANK, self._searched)
        if end < 0:
            # The blank line may straddle two reads, so the last three bytes are searched again.
            self._searched = max(0, len(self._buffer) - len(_BLANK) + 1)
            if len(self._buffer) > MAX_STREAM_MESSAGE:
                raise RemoteProtocolError("message too large", 513)
            return None
        size = end + len(_BLANK) + _content_length(bytes(self._buffer[: end + len(_CRLF)]))
        if size > MAX_STREAM_MESSAGE:
            raise RemoteProtocolError("message too large", 513)
        return size


def _content_length(head: bytes) -> int:
    values = {value.strip() for value in _LENGTH.findall(head)}
    if len(values) != 1:
        raise RemoteProtocolError("a message on a stream needs one Content-Length")
    text = values.pop().decode("ascii", "replace")
    length = parse_number(text, 2**32)
    if length is None:
        raise RemoteProtocolError("Content-Length is not a number")
    return length
