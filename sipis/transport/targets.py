"""Where to send and where to listen, as values.

Refuses names: the host of a Target is an IP literal. Listeners are the operator's words, read once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self
from zlib import crc32

from sipis.errors import ConfigError
from sipis.sip.flow import Door, Transport

_LISTENER: Final = re.compile(
    r"(?P<transport>[a-z]+):(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})"
)
_ADVERTISED: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_TRANSPORTS: Final = frozenset(transport.value for transport in Transport)
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send a request to."""

    transport: Transport
    host: str
    """An IP literal without brackets."""
    port: int
    tls_name: str | None = None
    """On TLS and WSS the SIP domain that the certificate must name (RFC 5922 7.3)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket that the operator asked for; port 0 means any free one."""

    door: Door
    transport: Transport
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, door: Door) -> Self:
        """Read `transport:host:port`, IPv6 in brackets; ConfigError names the setting."""
        key = f"sip.{door.value}_listeners"
        match = _LISTENER.fullmatch(text)
        if match is None:
            raise ConfigError(key, f"{text!r} is not transport:address:port")
        if match["transport"] not in _TRANSPORTS:
            raise ConfigError(key, f"{text!r} has an unknown transport")
        host, port = match["v6"] or match["v4"], int(match["port"])
        if not _is_literal(host) or port > _LAST_PORT:
            raise ConfigError(key, f"{text!r} has a bad address or port")
        return cls(door, Transport(match["transport"]), host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport.value}:{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listener that is open, with the port that it really has."""

    door: Door
    transport: Transport
    host: str
    port: int


def parse_listeners(provider: Sequence[str], app: Sequence[str]) -> tuple[Listener, ...]:
    """The listeners of both doors; ConfigError for the first that cannot be read."""
    return (
        *(Listener.parse(text, Door.PROVIDER) for text in provider),
        *(Listener.parse(text, Door.APP) for text in app),
    )


def parse_advertised(text: str) -> tuple[str, int | None] | None:
    """The host and port of `advertise`, None when it is empty; ConfigError when it is neither."""
    if not text:
        return None
    match = _ADVERTISED.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT:
        raise ConfigError("sip.advertise", f"{text!r} is not host[:port]")
    return match["v6"] or match["host"], int(match["port"]) if match["port"] else None


def share_of(policy: str, account: str) -> str:
    """Which local source an account uses under the policy `shared`, `pool N` or `per-account`.

    `account` is any stable name of it. The result goes into `Endpoint.flow_to(share=...)`;
    ConfigError for another policy.
    """
    word, _, count = policy.partition(" ")
    if word == "shared" and not count:
        return ""
    if word == "per-account" and not count:
        return account
    if word == "pool" and count.isdecimal() and int(count) > 0:
        return f"pool-{crc32(account.encode()) % int(count)}"
    raise ConfigError("udp_source", f"{policy!r} is not shared, per-account or pool N")


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
