"""An app in a private network that changes networks while it talks."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Self, cast

from sipis.sip.framing import StreamFramer
from sipis.sip.message import Message, parse_message
from sipis.sip.uri import SipUri
from tests.support.netns import PrivateNetwork
from tests.support.sip_peers import Handset


class Roamer(Handset):
    """A handset on one UDP socket of the private network; what comes again is taken once."""

    kind = socket.SOCK_DGRAM

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[bytes] = set()

    @classmethod
    async def arrive(cls, network: PrivateNetwork, relay: Mapping[str, object]) -> Self:
        """Open a flow from where the phone is now, and register; `relay` is what the API gave."""
        uris = [SipUri.parse(uri) for uri in cast("list[str]", relay["uris"])]
        door = next(it for it in uris if (it.transport or "udp").upper() == cls.over)
        opened = network.open(cls.kind, (door.host, door.port or 5060))
        roamer = await cls._on(opened)
        roamer.login = str(relay["username"]), str(relay["password"])
        assert (await roamer.register()).status == 200
        return roamer

    @classmethod
    async def _on(cls, opened: socket.socket) -> Self:
        loop = asyncio.get_running_loop()
        _, roamer = await loop.create_datagram_endpoint(cls, sock=opened)
        return roamer

    def send(self, message: Message) -> None:
        assert self._transport is not None
        self._transport.sendto(message.to_bytes())

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if data not in self._seen:
            self._seen.add(data)
            super().datagram_received(data, addr)


class StreamRoamer(Roamer, asyncio.Protocol):
    """The same on a TCP connection."""

    kind = socket.SOCK_STREAM
    over = "TCP"

    def __init__(self) -> None:
        super().__init__()
        self._framer = StreamFramer()

    @classmethod
    async def _on(cls, opened: socket.socket) -> Self:
        _, roamer = await asyncio.get_running_loop().create_connection(cls, sock=opened)
        return roamer

    def send(self, message: Message) -> None:
        cast("asyncio.WriteTransport", self._transport).write(message.to_bytes())

    def data_received(self, data: bytes) -> None:
        for frame in self._framer.feed(data):
            if isinstance(frame, bytes):
                self.inbox.put_nowait(parse_message(frame))
