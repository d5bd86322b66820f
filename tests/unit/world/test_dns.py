"""The name server of the world, asked by a real resolver."""

from collections.abc import AsyncIterator

import aiodns
import pycares
import pytest

from sipis.world.dns import NameServer


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    server = NameServer()
    server.put("sip.example", "A", "192.0.2.1", "192.0.2.2", ttl=7)
    server.put("_sip._udp.example", "SRV", "10 5 5060 sip.example.")
    yield server
    await server.stop()


@pytest.fixture
async def resolver(server: NameServer) -> AsyncIterator[aiodns.DNSResolver]:
    resolver = aiodns.DNSResolver(nameservers=[await server.start()])
    yield resolver
    await resolver.close()


@pytest.fixture
async def hasty(server: NameServer) -> AsyncIterator[aiodns.DNSResolver]:
    """A resolver that soon gives up."""
    resolver = aiodns.DNSResolver(nameservers=[await server.start()], timeout=0.2, tries=1)
    yield resolver
    await resolver.close()


def addresses(found: pycares.DNSResult) -> list[str]:
    return sorted(str(getattr(record.data, "addr", "")) for record in found.answer)


async def test_records_come_with_their_ttl(resolver: aiodns.DNSResolver) -> None:
    found = await resolver.query_dns("sip.example", "A")
    assert addresses(found) == ["192.0.2.1", "192.0.2.2"]
    assert {record.ttl for record in found.answer} == {7}


async def test_what_was_not_put_does_not_exist(
    server: NameServer, resolver: aiodns.DNSResolver
) -> None:
    with pytest.raises(aiodns.error.DNSError):
        await resolver.query_dns("other.example", "A")
    assert ("other.example", "A") in server.asked


async def test_a_record_can_change_between_two_questions(
    server: NameServer, resolver: aiodns.DNSResolver
) -> None:
    server.put("flip.example", "A", "192.0.2.1", ttl=0)
    await resolver.query_dns("flip.example", "A")
    server.put("flip.example", "A", "127.0.0.1", ttl=0)
    found = await resolver.query_dns("flip.example", "A")
    assert addresses(found) == ["127.0.0.1"]


async def test_a_silent_or_failing_server_gives_no_answer(
    server: NameServer, hasty: aiodns.DNSResolver
) -> None:
    server.failing = True
    with pytest.raises(aiodns.error.DNSError):
        await hasty.query_dns("sip.example", "A")
    server.failing, server.silent = False, True
    with pytest.raises(aiodns.error.DNSError):
        await hasty.query_dns("gone.example", "A")


def test_rubbish_is_not_answered(server: NameServer) -> None:
    assert server.answer(b"\x00rubbish") is None
