"""Attacks over UDP, under sources that are made up for every single datagram.

The kernel lets whoever owns an address of loopback, which is everybody, send under it (IP_PKTINFO),
and what is answered comes back to the one socket: so it is counted what strangers can be sent.
"""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final, Self

from bench.flood_pace import Attack
from bench.flood_words import HOST, KIB, Words

IP_PKTINFO: Final = 8
"""Linux's; Python names it from 3.14 on."""
SENT, RECEIVED = "UDP bytes sent", "UDP bytes received"


class Datagrams:
    """One socket for all who send datagrams; use it as a context manager inside a loop."""

    def __init__(self, words: Words, chance: random.Random, counts: Counter[str]) -> None:
        self._words = words
        self._chance = chance
        self._counts = counts
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind(("0.0.0.0", 0))

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._drain)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._drain()
        self._socket.close()

    def attacks(self, *ports: int) -> list[Attack]:
        """Each kind of attack against each of these ports."""
        kinds: list[tuple[str, float, Callable[[], bytes]]] = [
            ("garbage", 150, self._words.garbage),
            ("probes", 100, self._words.probe),
            ("transactions", 60, self._words.stranger),
            ("logins", 20, partial(self._words.login, "UDP")),
            ("oversize", 5, self._oversize),
        ]
        return [
            Attack(f"UDP {name}", rate, partial(self._send, say, port), self._counts)
            for name, rate, say in kinds
            for port in ports
        ]

    async def _send(self, say: Callable[[], bytes], port: int) -> None:
        data = say()
        source = f"127.{self._chance.randrange(16, 32)}.{self._chance.randrange(256)}.1"
        info = struct.pack("=I4s4s", 0, socket.inet_aton(source), bytes(4))
        try:
            self._socket.sendmsg([data], [(socket.IPPROTO_IP, IP_PKTINFO, info)], 0, (HOST, port))
        except BlockingIOError:
            return
        self._counts[SENT] += len(data)

    def _oversize(self) -> bytes:
        return self._words.oversize(self._chance.randrange(17 * KIB, 60 * KIB))

    def _drain(self) -> None:
        while True:
            try:
                self._counts[RECEIVED] += len(self._socket.recv(65_536))
            except BlockingIOError:
                return
