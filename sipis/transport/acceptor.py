"""Takes connections from the queue of a listening socket.

The servers of asyncio and uvloop tell nobody who connects before TLS is done, count nothing until
then, and uvloop accepts one connection a turn: a busy loop lets a flood push those of others out
of the queue. So the queue is read here, several at a time, with the peer's address in hand.

Refuses to spin, and to give up, when no descriptor is free: it comes back a second later.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from sipis.clock import Alarm
from sipis.transport.arrivals import Arrival, Arrivals, Welcome

ACCEPTED_AT_ONCE: Final = 16
"""Connections taken from the queue of a listener in one turn of the loop."""
PAUSE: Final = 1.0
"""Seconds for which a listener rests when the system has nothing left for a connection."""
SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds for the peer's part of the end of TLS."""


class Acceptor:
    """One listening socket, from open() to close()."""

    def __init__(self, bound: socket.socket, welcome: Welcome, arrivals: Arrivals) -> None:
        self._bound = bound
        self._welcome = welcome
        self._arrivals = arrivals
        self._rest: Alarm | None = None

    def open(self) -> None:
        """Begin to take connections."""
        self._rest = None
        asyncio.get_running_loop().add_reader(self._bound, self._accept_some)

    def close(self) -> None:
        """Stop listening; who is on the way in stays so."""
        if self._rest is not None:
            self._rest.cancel()
        if self._bound.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._bound)
            self._bound.close()

    def _accept_some(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = self._bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._pause()
                return
            accepted.settimeout(0)
            self._arrivals.receive(accepted, address[0], self._welcome)

    def _pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._bound)
        clock = self._arrivals.clock
        self._rest = clock.call_at(clock.monotonic() + PAUSE, self.open)


async def hand_over(
    arrival: Arrival, make: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext | None
) -> None:
    """Give a connection to a protocol, after the TLS handshake where there is a context.

    OSError when the handshake fails. Only a handshake takes time and may be cancelled: without one
    uvloop would close the connection and never tell the protocol.
    """
    connect = asyncio.get_running_loop().connect_accepted_socket
    if context is None:
        await connect(make, arrival.accepted)
        arrival.may_end()
    else:
        arrival.may_end()
        await connect(make, arrival.accepted, ssl=context, ssl_shutdown_timeout=SHUTDOWN_TIMEOUT)
