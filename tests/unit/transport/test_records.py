"""The memory for DNS records, and the name server over a real socket."""

import asyncio

import pytest

from sipis.clock import ManualClock
from sipis.errors import TransportError
from sipis.transport.records import (
    FAILURE_TTL,
    LAST_GOOD,
    MOST_ANSWERS,
    NEGATIVE_TTL,
    Answer,
    AresNameServer,
    Naptr,
    RecordCache,
    Srv,
)
from tests.support.dns import FakeNameServer, WireNameServer


async def test_an_answer_is_kept_for_its_ttl(clock: ManualClock) -> None:
    server = FakeNameServer({("a.example", "A"): Answer(("8.8.8.8",), 60)})
    cache = RecordCache(server, clock)
    await cache.lookup("A.example.", "A")
    await clock.advance(59)
    assert (await cache.lookup("a.example", "A")).ttl == 1
    assert server.asked == [("a.example", "A")]
    await clock.advance(1)
    await cache.lookup("a.example", "A")
    assert len(server.asked) == 2


async def test_absence_is_believed_for_a_short_while(clock: ManualClock) -> None:
    server = FakeNameServer({})
    cache = RecordCache(server, clock)
    assert (await cache.lookup("a.example", "A")).records == ()
    await clock.advance(NEGATIVE_TTL - 1)
    await cache.lookup("a.example", "A")
    assert len(server.asked) == 1
    server.answers["a.example", "A"] = Answer(("8.8.8.8",), 60)
    await clock.advance(1)
    assert (await cache.lookup("a.example", "A")).records == ("8.8.8.8",)


async def test_the_last_good_answer_serves_an_hour_beyond_its_ttl(clock: ManualClock) -> None:
    server = FakeNameServer({("a.example", "A"): Answer(("8.8.8.8",), 60)})
    cache = RecordCache(server, clock)
    await cache.lookup("a.example", "A")
    server.silent = True
    await clock.advance(60 + LAST_GOOD - 1)
    assert (await cache.lookup("a.example", "A")).records == ("8.8.8.8",)
    await clock.advance(FAILURE_TTL)
    with pytest.raises(TransportError):
        await cache.lookup("a.example", "A")


async def test_a_silent_server_is_not_asked_again_at_once(clock: ManualClock) -> None:
    server = FakeNameServer({}, silent=True)
    cache = RecordCache(server, clock)
    for _ in range(3):
        with pytest.raises(TransportError):
            await cache.lookup("a.example", "A")
    assert len(server.asked) == 1
    server.silent = False
    await clock.advance(FAILURE_TTL)
    assert (await cache.lookup("a.example", "A")).records == ()


async def test_many_who_want_the_same_ask_once(clock: ManualClock) -> None:
    server = FakeNameServer({("a.example", "A"): Answer(("8.8.8.8",), 0)}, slow=True)
    cache = RecordCache(server, clock)
    asking = [asyncio.create_task(cache.lookup("a.example", "A")) for _ in range(32)]
    await asyncio.sleep(0)
    server.go.set()
    answers = await asyncio.gather(*asking)
    assert {answer.records for answer in answers} == {("8.8.8.8",)}
    assert len(server.asked) == 1


async def test_one_who_gives_up_leaves_the_others_an_error_and_not_a_hang(
    clock: ManualClock,
) -> None:
    server = FakeNameServer({}, slow=True)
    cache = RecordCache(server, clock)
    first = asyncio.create_task(cache.lookup("a.example", "A"))
    await asyncio.sleep(0)
    second = asyncio.create_task(cache.lookup("a.example", "A"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(TransportError):
        await second
    server.go.set()
    assert (await cache.lookup("a.example", "A")).records == ()


async def test_the_memory_is_bounded(clock: ManualClock) -> None:
    cache = RecordCache(FakeNameServer({}), clock)
    for number in range(MOST_ANSWERS + 5):
        await cache.lookup(f"{number}.example", "A")
    assert len(cache._known) == MOST_ANSWERS


async def test_every_kind_of_record_is_read_off_the_wire() -> None:
    zone = {
        "example.com": {
            "A": ["8.8.8.8", "8.8.4.4"],
            "NAPTR": ['10 20 "s" "SIP+D2U" "" _sip._udp.example.com.'],
        },
        "_sip._udp.example.com": {"SRV": ["1 2 5080 a.example.com."]},
        "alias.example.com": {"CNAME": ["example.com."]},
        "v6.example.com": {"AAAA": ["2600::1"]},
    }
    async with WireNameServer(zone) as wire:
        server = AresNameServer([wire.address])
        try:
            assert set((await server.ask("example.com", "A")).records) == {"8.8.8.8", "8.8.4.4"}
            assert (await server.ask("v6.example.com", "AAAA")).records == ("2600::1",)
            assert (await server.ask("_sip._udp.example.com", "SRV")).records == (
                Srv(1, 2, 5080, "a.example.com"),
            )
            assert (await server.ask("example.com", "NAPTR")).records == (
                Naptr(10, 20, "s", "SIP+D2U", "_sip._udp.example.com"),
            )
            assert set((await server.ask("alias.example.com", "A")).records) == {
                "8.8.8.8",
                "8.8.4.4",
            }
            assert await server.ask("nobody.example.com", "A") == Answer((), NEGATIVE_TTL)
            assert await server.ask("example.com", "AAAA") == Answer((), NEGATIVE_TTL)
            wire.broken = True
            with pytest.raises(TransportError):
                await server.ask("broken.example.com", "A")
        finally:
            await server.close()
