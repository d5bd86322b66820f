"""One HTTP/2 client connection, made for pushes: many small requests, each with its own deadline.

Refuses to lose a request: each one ends as an Answer, as NotSent (repeat it for free) or as
Unanswered, whatever the peer does. Refuses to open a stream that the peer's live
MAX_CONCURRENT_STREAMS or window does not allow: requests wait in order of arrival. Reconnecting is
the business of connections.py.

The protocol itself is in wire.py.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from sipis.clock import Clock
from sipis.push.exchange import Answer, Exchange, Exchanged, Headers, NotSent, Unanswered
from sipis.push.outcome import DEADLINE, LOST, RESET
from sipis.push.pulse import Pulse
from sipis.push.wire import (
    REFUSED_STREAM,
    DataArrived,
    Goaway,
    HeadersArrived,
    SettingsArrived,
    StreamReset,
    Wire,
    WireError,
)

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
        self._wire = Wire()
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
            SettingsArrived: self._on_settings,
            HeadersArrived: self._on_headers,
            DataArrived: self._on_data,
            StreamReset: self._on_stream_reset,
            Goaway: self._on_goaway,
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

    async def exchange(
        self,
        headers: Headers,
        body: bytes,
        deadline: float,
        on_sent: Callable[[], None] | None = None,
    ) -> Exchanged:
        """Send one request and return what became of it by the deadline (monotonic).

        The body is not empty. `on_sent` is called when the request's stream is opened.
        """
        if not self.usable:
            return NotSent(LOST)
        done = self._loop.create_future()
        exchange = Exchange(headers, body, done, deadline, on_sent=on_sent)
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
        self._flush()
        self._pulse.start()

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent; a peer that breaks the protocol loses the connection."""
        self._pulse.heard()
        try:
            happened = self._wire.receive(data)
        except WireError:
            self._lose(LOST)
            return
        for event in happened:
            self._handlers[type(event)](event)
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
            and self._wire.window - promised >= len(exchange.body)
            and self.ready.done()
        )

    def _start(self, exchange: Exchange) -> None:
        exchange.stream = self._wire.open(exchange.headers)
        self._open[exchange.stream] = exchange
        self._send_body(exchange)
        self._pulse.busy(pending=True)
        self._flush_soon()
        if exchange.on_sent is not None:
            exchange.on_sent()
        if exchange.stream > LAST_STREAM:
            self.retire()

    def _send_body(self, exchange: Exchange) -> None:
        """Send as much of the body as the windows allow; the rest waits for a WINDOW_UPDATE."""
        stream = exchange.stream
        while exchange.unsent and (room := self._wire.room(stream)):
            piece = exchange.body[exchange.sent : exchange.sent + room]
            exchange.sent += len(piece)
            self._wire.send(stream, piece, last=not exchange.unsent)
        if exchange.unsent:
            self._unfinished[stream] = exchange
        else:
            self._unfinished.pop(stream, None)

    def _continue_bodies(self) -> None:
        for exchange in list(self._unfinished.values()):
            self._send_body(exchange)

    def _ping(self) -> None:
        self._wire.ping(_PING)
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Write once per turn of the loop, however many requests it starts."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is not None and not self._ended:
            data = self._wire.output()
            if data:
                self._transport.write(data)

    # -- news from the peer ----------------------------------------------------------------------

    def _after_news(self) -> None:
        if self._ended:
            return
        self._continue_bodies()
        self._open_what_may()
        self._pulse.busy(pending=bool(self._open))
        self._flush()
        self._close_if_idle()

    def _on_settings(self, _: SettingsArrived) -> None:
        self._most = min(self._wire.max_streams, MOST_STREAMS)
        if not self.ready.done():
            self.ready.set_result(True)

    def _on_headers(self, event: HeadersArrived) -> None:
        exchange = self._open.get(event.stream)
        if exchange is None:
            return
        headers = dict(event.headers)
        if not headers.get(b":status", b"1").startswith(b"1"):  # neither informational nor trailers
            exchange.answer = headers
        if event.ended:
            self._settle(exchange)

    def _on_data(self, event: DataArrived) -> None:
        exchange = self._open.get(event.stream)
        if exchange is None:
            return
        exchange.take(event.data)
        if event.ended:
            self._settle(exchange)

    def _settle(self, exchange: Exchange) -> None:
        """The stream has ended: hand its answer over."""
        if exchange.unsent:
            self._wire.reset(exchange.stream)
        self._forget(exchange.stream)
        result = exchange.answered()
        self.answers += isinstance(result, Answer)
        exchange.finish(result)

    def _on_stream_reset(self, event: StreamReset) -> None:
        exchange = self._forget(event.stream)
        if exchange is not None:
            refused = event.code == REFUSED_STREAM
            exchange.finish(NotSent(RESET) if refused else Unanswered(RESET))

    def _on_goaway(self, goaway: Goaway) -> None:
        """Streams above the last one were not processed; the others may still be answered."""
        for stream in [each for each in self._open if each > goaway.last]:
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
            self._wire.reset(exchange.stream)
            self._flush_soon()
            self._open_what_may()
            self._close_if_idle()
        elif exchange in self._waiting:
            self._waiting.remove(exchange)

    def _forget(self, stream: int) -> Exchange | None:
        self._unfinished.pop(stream, None)
        self._wire.forget(stream)
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
