"""DNS records with a memory: TTL, short negative answers, and the last good answer in an outage.

Refuses to judge addresses and to know SIP: `resolver` does both with what comes from here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiodns
import pycares

from sipis.clock import Clock
from sipis.errors import TransportError

SHORTEST_TTL: Final = 1.0
"""Seconds for which even a TTL of 0 holds, so that a batch of phones asks once."""
LONGEST_TTL: Final = 86_400.0
NEGATIVE_TTL: Final = 30.0
"""Seconds for which an absent name or type is believed."""
FAILURE_TTL: Final = 5.0
"""Seconds for which a failing server is not asked the same question again."""
LAST_GOOD: Final = 3600.0
"""Seconds past its TTL for which an answer serves while no server gives a newer one."""
MOST_ANSWERS: Final = 10_000
QUERY_TIMEOUT: Final = 2.0
QUERY_TRIES: Final = 2

_ABSENT: Final = frozenset({aiodns.error.ARES_ENODATA, aiodns.error.ARES_ENOTFOUND})


@dataclass(frozen=True, slots=True)
class Naptr:
    """What we use of a NAPTR record (RFC 3403)."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """A SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Record = Naptr | Srv | str
"""`str` is the address of an A or AAAA record."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The records of one name and type; none when it is absent."""

    records: tuple[Record, ...]
    ttl: float


class NameServer(Protocol):
    """Whoever answers one question; what it remembers of itself is never older than its TTL."""

    async def ask(self, name: str, kind: str) -> Answer:
        """The records of a type (`A AAAA SRV NAPTR`); TransportError when no server answers."""

    async def close(self) -> None:
        """Let go of its sockets."""


class AresNameServer:
    """The name servers of the machine, or the given ones (`address` or `address:port`)."""

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._nameservers = tuple(nameservers)
        self._resolver: aiodns.DNSResolver | None = None

    async def ask(self, name: str, kind: str) -> Answer:
        """Ask once (c-ares repeats, changes servers and keeps answers for their TTL by itself)."""
        try:
            result = await self._open().query_dns(name, kind)
        except aiodns.error.DNSError as failed:
            if failed.args and failed.args[0] in _ABSENT:
                return Answer((), NEGATIVE_TTL)
            raise TransportError("name servers do not answer") from None
        return _read(result)

    async def close(self) -> None:
        """Cancel what is being asked."""
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    def _open(self) -> aiodns.DNSResolver:
        if self._resolver is None:
            self._resolver = aiodns.DNSResolver(
                self._nameservers or None, timeout=QUERY_TIMEOUT, tries=QUERY_TRIES
            )
        return self._resolver


def _read(result: pycares.DNSResult) -> Answer:
    found = [(record, row.ttl) for row in result.answer if (record := _record(row.data))]
    ttl = min((ttl for _, ttl in found), default=NEGATIVE_TTL)
    return Answer(tuple(record for record, _ in found), float(ttl))


def _record(data: object) -> Record | None:
    match data:
        case pycares.ARecordData(addr=address) | pycares.AAAARecordData(addr=address):
            return str(address)
        case pycares.SRVRecordData():
            return Srv(data.priority, data.weight, data.port, data.target)
        case pycares.NAPTRRecordData():
            return Naptr(data.order, data.preference, data.flags, data.service, data.replacement)
    return None


@dataclass(slots=True)
class _Known:
    answer: Answer | None
    """None while no server ever answered."""
    fresh_until: float
    usable_until: float

    def within(self, ttl: float) -> Answer:
        """The answer for that many more seconds; TransportError where there is none."""
        if self.answer is None:
            raise TransportError("name servers do not answer")
        return Answer(self.answer.records, ttl)


class RecordCache:
    """Answers by name and type; one question at a time for each, however many wait for it."""

    def __init__(self, server: NameServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}
        self._asking: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    async def lookup(self, name: str, kind: str) -> Answer:
        """The records, and the seconds for which they still hold; TransportError in an outage."""
        key = (name.lower().removesuffix("."), kind)
        known = self._known.get(key)
        if known is not None and (ttl := known.fresh_until - self._clock.monotonic()) > 0:
            return known.within(ttl)
        if key in self._asking:
            return await asyncio.shield(self._asking[key])
        return await self._ask_for_all(key)

    async def close(self) -> None:
        """Stop asking."""
        await self._server.close()

    async def _ask_for_all(self, key: tuple[str, str]) -> Answer:
        """Ask, and give the outcome to everybody who wants the same meanwhile."""
        asking: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asking[key] = asking
        try:
            answer = await self._refresh(key)
        except BaseException as failure:
            shared = failure if isinstance(failure, TransportError) else _ABANDONED
            asking.set_exception(shared)
            asking.exception()  # nobody else may be waiting
            raise
        finally:
            del self._asking[key]
        asking.set_result(answer)
        return answer

    async def _refresh(self, key: tuple[str, str]) -> Answer:
        try:
            answer = await self._server.ask(*key)
        except TransportError:
            return self._last_good(key).within(FAILURE_TTL)
        ttl = min(max(answer.ttl, SHORTEST_TTL), LONGEST_TTL)
        self._keep(key, answer, ttl, ttl + LAST_GOOD if answer.records else ttl)
        return Answer(answer.records, ttl)

    def _last_good(self, key: tuple[str, str]) -> _Known:
        """What was known, held on to for a moment; nothing when it is too old."""
        known, now = self._known.get(key), self._clock.monotonic()
        if known is None or known.usable_until <= now:
            return self._keep(key, None, FAILURE_TTL, FAILURE_TTL)
        known.fresh_until = now + FAILURE_TTL
        return known

    def _keep(
        self, key: tuple[str, str], answer: Answer | None, fresh: float, usable: float
    ) -> _Known:
        if len(self._known) >= MOST_ANSWERS:
            self._known.pop(next(iter(self._known)))
        now = self._clock.monotonic()
        self._known.pop(key, None)
        self._known[key] = known = _Known(answer, now + fresh, now + usable)
        return known


_ABANDONED: Final = TransportError("the question was given up")
