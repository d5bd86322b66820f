"""One HTTP/2 client connection, made for pushes: many small requests, each with its own deadline.

Refuses to lose a request: each one ends as an Answer, as NotSent (repeat it for free) or as
Unanswered, whatever the peer does. Refuses to open a stream that the peer's live
MAX_CONCURRENT_STREAMS or window does not allow: requests wait in order of arrival. Reconnecting is
the business of connections.py.

Follows RFC 9113; GOAWAY never reaches the library (frames.py tells why).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from sipis.clock import Clock
from sipis.push.exchange import Answer, Exchange, Exchanged, Headers, NotSent, Unanswered
from sipis.push.frames import Goaway, GoawayFilter
from sipis.push.h2choice import config, connection, errors, events, exceptions
from sipis.push.outcome import DEADLINE, LOST, RESET
from sipis.push.pulse import Pulse

MOST_STREAMS: Final = 1000
"""Streams that we open at once, even where the peer allows more."""
LAST_STREAM: Final = 1 << 30
_PING: Final = b"sipispng"


class Http2Connection(asyncio.Protocol):
    """A connection from its first SETTINGS to its end.

    `on_change` is called when it stops taking requests and again when it has ended.
    """

    def __init__(self, clock: Clock, on_change: Callable[["Http2Connection"], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._h2 = connection.H2Connection(config=_configuration())
        self._goaways = GoawayFilter()
        self._pulse = Pulse(clock, ping=self._ping, silent=partial(self._lose, LOST))
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Exchange] = deque()
        self._open: dict[int, Exchange] = {}
        self._unfinished: dict[int, Exchange] = {}
        self._most = 1
        self._flushing = False
        self._retired = False
        self._ended = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            events.RemoteSettingsChanged: self._on_settings,
            events.ResponseReceived: self._on_headers,
            events.DataReceived: self._on_data,
            events.StreamEnded: self._on_stream_ended,
            events.StreamReset: self._on_stream_reset,
        }
        self.answers = 0
        self.ready: asyncio.Future[bool] = self._loop.create_future()
        """True once the peer has sent its SETTINGS; False if it never will."""

    # -- for the owner ---------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether new requests may be given to it."""
        return not self._retired and not self._ended

    @property
    def ended(self) -> bool:
        """Whether it is gone, with nothing left to wait for."""
        return self._ended

    @property
    def load(self) -> int:
        """Requests open and waiting."""
        return len(self._open) + len(self._waiting)

    async def exchange(self, headers: Headers, body: bytes, deadline: float) -> Exchanged:
        """Send one request and return what became of it by the deadline (monotonic)."""
        if not self.usable:
            return NotSent(LOST)
        exchange = Exchange(headers, body, self._loop.create_future(), deadline)
        exchange.alarm = self._clock.call_at(deadline, partial(self._expire, exchange))
        self._waiting.append(exchange)
        self._open_what_may()
        try:
            return await exchange.done
        finally:
            if not exchange.done.done() or exchange.done.cancelled():
                self._abandon(exchange)

    def retire(self) -> None:
        """Give it no new request; it closes when the last answer is in."""
        if not self._retired:
            self._retired = True
            self._refuse_waiting()
            self._on_change(self)
        self._close_if_idle()

    def close(self) -> None:
        """End it now; whatever is open stays unanswered."""
        if self._transport is not None:
            self._transport.close()
        self._end(LOST)

    # -- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our preface and SETTINGS; a peer that does not speak HTTP/2 is left at once."""
        self._transport = cast(asyncio.Transport, transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._lose(LOST)
            return
        self._h2.initiate_connection()
        self._flush()
        self._pulse.start()

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent; a peer that breaks the protocol loses the connection."""
        self._pulse.heard()
        clean, goaways = self._goaways.feed(data)
        try:
            happened = self._h2.receive_data(clean) if clean else []
        except (exceptions.ProtocolError, ValueError):
            self._lose(LOST)
            return
        for event in happened:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
        for goaway in goaways:
            self._on_goaway(goaway)
        self._after_news()

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle everything that was open or waiting."""
        del exc
        self._end(LOST)

    # -- sending ---------------------------------------------------------------------------------

    def _open_what_may(self) -> None:
        while self._waiting and self._may_open(self._waiting[0]):
            self._start(self._waiting.popleft())

    def _may_open(self, exchange: Exchange) -> bool:
        promised = sum(each.unsent for each in self._unfinished.values())
        return (
            len(self._open) < self._most
            and self._h2.outbound_flow_control_window - promised >= len(exchange.body)
            and self.ready.done()
        )

    def _start(self, exchange: Exchange) -> None:
        try:
            exchange.stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(exchange.stream, exchange.headers)
            self._open[exchange.stream] = exchange
            self._send_body(exchange)
        except exceptions.H2Error:
            exchange.finish(NotSent(LOST))
            self._lose(LOST)
            return
        self._pulse.busy(pending=True)
        self._flush_soon()
        if exchange.stream > LAST_STREAM:
            self.retire()

    def _send_body(self, exchange: Exchange) -> None:
        """Send as much of the body as the windows allow; the rest waits for a WINDOW_UPDATE."""
        stream = exchange.stream
        while True:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            last = exchange.unsent <= room
            if not last and room <= 0:
                self._unfinished[stream] = exchange
                return
            piece = exchange.body[exchange.sent : exchange.sent + max(room, 0)]
            self._h2.send_data(stream, piece, end_stream=last)
            exchange.sent += len(piece)
            if last:
                self._unfinished.pop(stream, None)
                return

    def _continue_bodies(self) -> None:
        for exchange in list(self._unfinished.values()):
            self._send_body(exchange)

    def _ping(self) -> None:
        self._h2.ping(_PING)
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Write once per turn of the loop, however many requests it starts."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is not None and not self._ended:
            data = self._h2.data_to_send()
            if data:
                self._transport.write(data)

    # -- news from the peer ----------------------------------------------------------------------

    def _after_news(self) -> None:
        if self._ended:
            return
        try:
            self._continue_bodies()
        except exceptions.H2Error:
            self._lose(LOST)
            return
        self._open_what_may()
        self._pulse.busy(pending=bool(self._open))
        self._flush()
        self._close_if_idle()

    def _on_settings(self, event: "events.RemoteSettingsChanged") -> None:
        del event
        self._most = min(self._h2.remote_settings.max_concurrent_streams, MOST_STREAMS)
        if not self.ready.done():
            self.ready.set_result(True)

    def _on_headers(self, event: "events.ResponseReceived") -> None:
        exchange = self._open.get(event.stream_id)
        if exchange is not None:
            exchange.answer = dict(event.headers)

    def _on_data(self, event: "events.DataReceived") -> None:
        exchange = self._open.get(event.stream_id)
        if exchange is not None:
            exchange.take(event.data)
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _on_stream_ended(self, event: "events.StreamEnded") -> None:
        exchange = self._forget(event.stream_id)
        if exchange is None:
            return
        if exchange.unsent:
            self._reset(event.stream_id)
        result = exchange.answered()
        self.answers += isinstance(result, Answer)
        exchange.finish(result)

    def _on_stream_reset(self, event: "events.StreamReset") -> None:
        exchange = self._forget(event.stream_id)
        if exchange is not None:
            refused = event.error_code == errors.ErrorCodes.REFUSED_STREAM
            exchange.finish(NotSent(RESET) if refused else Unanswered(RESET))

    def _on_goaway(self, goaway: Goaway) -> None:
        """Streams above the last one were not processed; the others may still be answered."""
        for stream in [each for each in self._open if each > goaway.last_stream]:
            exchange = self._forget(stream)
            if exchange is not None:
                exchange.finish(NotSent(LOST))
        self.retire()

    # -- endings ---------------------------------------------------------------------------------

    def _expire(self, exchange: Exchange) -> None:
        if exchange.stream == 0:
            exchange.finish(NotSent(DEADLINE))
        else:
            exchange.finish(Unanswered(DEADLINE))
        self._abandon(exchange)

    def _abandon(self, exchange: Exchange) -> None:
        """Give the stream back: nobody waits for its answer any more."""
        exchange.finish(Unanswered(DEADLINE))
        if self._forget(exchange.stream) is not None:
            self._reset(exchange.stream)
            self._open_what_may()
            self._close_if_idle()
        elif exchange in self._waiting:
            self._waiting.remove(exchange)

    def _reset(self, stream: int) -> None:
        try:
            self._h2.reset_stream(stream, errors.ErrorCodes.CANCEL)
        except exceptions.H2Error:
            return  # the library has closed the stream already
        self._flush_soon()

    def _forget(self, stream: int) -> Exchange | None:
        self._unfinished.pop(stream, None)
        return self._open.pop(stream, None)

    def _refuse_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().finish(NotSent(LOST))

    def _close_if_idle(self) -> None:
        if self._retired and not self._open and not self._ended:
            self._flush()
            self.close()

    def _lose(self, why: str) -> None:
        """Leave a peer that is silent or confused, without the farewells of TLS."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    def _end(self, why: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._pulse.stop()
        self._refuse_waiting()
        for stream in list(self._open):
            exchange = self._forget(stream)
            if exchange is not None:
                exchange.finish(Unanswered(why))
        if not self.ready.done():
            self.ready.set_result(False)
        self._on_change(self)


def _configuration() -> "config.H2Configuration":
    """Return the settings of the library.

    Our headers are well-formed by construction. Left to itself the library marks `authorization`
    as never indexed, and then Huffman-codes the same 200 bytes for each push.
    """
    return config.H2Configuration(
        client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
    )
