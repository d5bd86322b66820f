"""Name servers of tests: one that is a table, one that speaks DNS over a real UDP socket."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from sipis.errors import TransportError
from sipis.transport.records import NEGATIVE_TTL, Answer

Zone = dict[str, dict[str, list[str]]]


@dataclass
class FakeNameServer:
    """Answers from a table; what is not in it is absent."""

    answers: dict[tuple[str, str], Answer]
    silent: bool = False
    slow: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    silent_for: set[tuple[str, str]] = field(default_factory=set)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, name: str, kind: str) -> Answer:
        self.asked.append((name, kind))
        if self.slow:
            await self.go.wait()
        if self.silent or (name, kind) in self.silent_for:
            raise TransportError("name servers do not answer")
        return self.answers.get((name, kind), Answer((), NEGATIVE_TTL))

    async def close(self) -> None:
        pass


class WireNameServer(asyncio.DatagramProtocol):
    """Serves a zone with TTL 0 on a free port of loopback; follows aliases; can be broken."""

    def __init__(self, zone: Mapping[str, Mapping[str, list[str]]]) -> None:
        self.zone = {name: dict(kinds) for name, kinds in zone.items()}
        self.broken = False
        self.address = ""
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        host, port = self._transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        query = dns.message.from_wire(data)
        self._transport.sendto(self._answer(query).to_wire(), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        if self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        question = query.question[0]
        name, kind = question.name, dns.rdatatype.to_text(question.rdtype)
        while (row := self._row(name)) is not None and kind not in row and "CNAME" in row:
            response.answer.append(dns.rrset.from_text(name, 0, "IN", "CNAME", *row["CNAME"]))
            name = dns.name.from_text(row["CNAME"][0])
        if row is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif kind in row:
            response.answer.append(dns.rrset.from_text(name, 0, "IN", kind, *row[kind]))
        return response

    def _row(self, name: dns.name.Name) -> dict[str, list[str]] | None:
        return self.zone.get(name.to_text(omit_final_dot=True).lower())
