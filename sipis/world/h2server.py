"""One HTTP/2 server connection of the world, over the `h2` library.

Refuses manners of its own: what it answers, and what it breaks, is decided by whoever owns it.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

ALL_STREAMS: Final = (1 << 31) - 1
Fields = dict[str, str]


@dataclass(slots=True)
class Request:
    """A request that is complete once `body` is."""

    connection: "ServerConnection"
    stream: int
    headers: Fields
    body: bytearray = field(default_factory=bytearray)


class Owner(Protocol):
    """Who decides what happens on the connections."""

    max_streams: int
    initial_window: int
    mute: bool
    """Nothing leaves, not even the answer to a PING."""
    opens_windows: bool
    """Whether what was read is given back as window."""

    def joined(self, connection: "ServerConnection") -> None:
        """A client has connected."""

    def left(self, connection: "ServerConnection") -> None:
        """It is gone."""

    def requested(self, request: Request) -> None:
        """A request is complete."""


class ServerConnection(asyncio.Protocol):
    """Speaks HTTP/2 to one client."""

    def __init__(self, owner: Owner, number: int) -> None:
        self._owner = owner
        self.number = number
        self._transport: asyncio.Transport | None = None
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, Request] = {}
        self._unsent: dict[int, bytearray] = {}
        self.resets: list[int] = []
        self.pings = 0
        self.welcome = True
        """Nobody has been let in on it yet."""

    # -- for the owner ---------------------------------------------------------------------------

    def answer(self, stream: int, headers: list[tuple[str, str]], pieces: list[bytes]) -> None:
        """Send a response; harmless when the client has given the stream up."""
        try:
            self._h2.send_headers(stream, headers, end_stream=not pieces)
            for number, piece in enumerate(pieces, start=1):
                self._h2.send_data(stream, piece, end_stream=number == len(pieces))
        except (ProtocolError, StreamClosedError):
            return
        self._flush()

    def reset(self, stream: int, code: int) -> None:
        """Reset a stream; harmless when the client has given it up."""
        try:
            self._h2.reset_stream(stream, code)
        except (ProtocolError, StreamClosedError):
            return
        self._flush()

    def goaway(self, last: int = ALL_STREAMS, code: int = 0, debug: bytes = b"") -> None:
        """Announce the end without ending: the library would close itself, so the frame is ours."""
        self._flush()
        frame = GoAwayFrame(last_stream_id=last, error_code=code, additional_data=debug)
        if self._transport is not None:
            self._transport.write(frame.serialize())

    def limit_streams(self, most: int) -> None:
        """Announce another MAX_CONCURRENT_STREAMS."""
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: most})
        self._flush()

    def abort(self) -> None:
        """Vanish without a word."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def close(self) -> None:
        """Close the socket after what was written."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    # -- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our SETTINGS."""
        self._transport = cast(asyncio.Transport, transport)
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self._owner.max_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: self._owner.initial_window,
        }
        self._h2.local_settings = Settings(client=False, initial_values=values)
        self._h2.initiate_connection()
        self._flush()
        self._owner.joined(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; end with GOAWAY when it breaks the protocol."""
        try:
            happened = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self.close()
            return
        for event in happened:
            self._on(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        del exc
        self._owner.left(self)

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            fields = cast(list[tuple[str, str]], event.headers)
            self._requests[event.stream_id] = Request(self, event.stream_id, dict(fields))
        elif isinstance(event, DataReceived):
            self._on_data(event)
        elif isinstance(event, StreamEnded):
            self._owner.requested(self._requests.pop(event.stream_id))
        elif isinstance(event, StreamReset):
            self._requests.pop(event.stream_id, None)
            self.resets.append(event.stream_id)
        elif isinstance(event, PingReceived):
            self.pings += 1

    def _on_data(self, event: DataReceived) -> None:
        request = self._requests.get(event.stream_id)
        if request is not None:
            request.body += event.data
        if self._owner.opens_windows:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _flush(self) -> None:
        if self._owner.mute:
            return
        data = self._h2.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
