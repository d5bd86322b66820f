"""Bound sockets of the operating system, and its errors in our words.

Refuses names: an address to bind is a literal, so that binding asks no resolver.
"""

import errno
import socket
from typing import Final

from sipis.errors import ConfigError
from sipis.transport.targets import Listener

BUFFER: Final = 4 * 1024 * 1024
"""Bytes of kernel buffer asked for, so that a burst of datagrams survives a busy moment."""

BACKLOG: Final = 1024
"""Connections that the system keeps for us until they are accepted."""

NEVER: Final = float("-inf")
"""When a flow was last heard over which nothing came yet."""


def family_of(host: str) -> socket.AddressFamily:
    """The address family of an IP literal."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind_datagram(listener: Listener) -> socket.socket:
    """Open a UDP listener; ConfigError names one that cannot be had."""
    return _bind(listener, socket.SOCK_DGRAM)


def bind_stream(listener: Listener) -> socket.socket:
    """Open a listener for connections; ConfigError names one that cannot be had."""
    return _bind(listener, socket.SOCK_STREAM)


def _bind(listener: Listener, kind: socket.SocketKind) -> socket.socket:
    key = f"sip.{listener.door.value}_listeners"
    try:
        return open_socket(family_of(listener.host), kind, listener.host, listener.port)
    except OSError as failed:
        reason = "is in use" if failed.errno == errno.EADDRINUSE else failed.strerror or "failed"
        raise ConfigError(key, f"{str(listener)!r} {reason}") from None


def open_socket(
    family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int
) -> socket.socket:
    """A bound socket that never blocks, one for connections listens; IPv6 is carried alone."""
    opened = socket.socket(family, kind)
    try:
        opened.settimeout(0)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
