"""A name server on loopback: NAPTR, SRV, A and AAAA records that can change, vanish or stay silent.

Refuses to forward: what it was not told does not exist.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass(slots=True)
class NameServer:
    """The records of one small world; `put("example.com", "A", "192.0.2.1")` makes them."""

    silent: bool = False
    """Answer nothing at all, as a dead name server does."""
    failing: bool = False
    """Answer SERVFAIL."""
    address: str = ""
    """Where it listens, once it does."""
    asked: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=10_000))
    """The questions that came, newest last: name and type."""
    _records: dict[tuple[str, str], dns.rrset.RRset] = field(default_factory=dict)
    _transport: asyncio.DatagramTransport | None = None

    def put(self, name: str, kind: str, *values: str, ttl: int = 60) -> Self:
        """Set the records of a name and type; values are written as in a zone file."""
        key = (_absolute(name), kind)
        self._records[key] = dns.rrset.from_text(key[0], ttl, "IN", kind, *values)
        return self

    def remove(self, name: str, kind: str) -> None:
        """Let the records of a name and type vanish."""
        self._records.pop((_absolute(name), kind), None)

    async def start(self, host: str = "127.0.0.1") -> str:
        """Listen on an ephemeral UDP port and return the address as host:port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Door(self), local_addr=(host, 0)
        )
        port = self._transport.get_extra_info("sockname")[1]
        self.address = f"{host}:{port}"
        return self.address

    async def stop(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()
            await asyncio.sleep(0)

    def reply(self, question: bytes, addr: tuple[str | object, int]) -> None:
        """Send the answer to one packet, if there is one."""
        answer = self.answer(question)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)

    def answer(self, question: bytes) -> bytes | None:
        """The answer to one packet, or None for silence."""
        if self.silent:
            return None
        try:
            query = dns.message.from_wire(question)
        except dns.exception.DNSException:
            return None
        return self._answered(query).to_wire()

    def _answered(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.RA
        asked = query.question[0]
        name, kind = str(asked.name).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name.rstrip("."), kind))
        if self.failing:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif found := self._chain(name, kind):
            reply.answer.extend(found)
        elif not any(known == name for known, _ in self._records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply

    def _chain(self, name: str, kind: str) -> list[dns.rrset.RRset]:
        """The records of a name, behind those of the aliases that lead to it."""
        aliases: list[dns.rrset.RRset] = []
        while (alias := self._records.get((name, "CNAME"))) is not None and len(aliases) < 8:
            aliases.append(alias)
            name = str(alias[0]).lower()
        found = self._records.get((name, kind))
        return [*aliases, found] if found is not None else aliases


class _Door(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._server.reply(data, addr)


def _absolute(name: str) -> str:
    return str(dns.name.from_text(name)).lower()
