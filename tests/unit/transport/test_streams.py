"""TCP and TLS: framing, slow and silent peers, reuse, certificates."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sipis.clock import ManualClock
from sipis.errors import TransportError
from sipis.observe.metrics import Metrics
from sipis.sip.events import RequestFailed
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request, response_to
from sipis.transport.flows import Limits
from sipis.transport.streams import FREE, MOST_UNSENT
from sipis.transport.targets import Target
from sipis.transport.throttle import Rate
from sipis.transport.tls import TlsPolicy, TlsSettings
from tests.support.transport import PATIENCE, Authority, Inbox, Issued, Party, build_request

TCP, TLS = "tcp:127.0.0.1:0", "tls:127.0.0.1:0"
Start = Callable[..., Awaitable[Party]]


@dataclass
class Wire:
    """A bare TCP client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def ended(self) -> bool:
        """Whether the server closes, whatever it says before."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.reader.read()
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def wire_to(party: Party, place: int = 0) -> AsyncIterator[Wire]:
    """A bare connection to a listener."""
    bound = party.endpoint.listening[place]
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[Target, list[asyncio.StreamWriter]]]:
    """A server that accepts and never says anything; its connections are listed."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, w: writers.append(w), "127.0.0.1", 0)
    try:
        yield Target(Transport.TCP, *server.sockets[0].getsockname()), writers
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def options(branch: str = "z9hG4bK1") -> Request:
    return build_request("OPTIONS", Via=f"SIP/2.0/TCP 127.0.0.1:9;branch={branch}")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


async def test_a_request_over_tcp_is_answered_on_the_same_connection(start: Start) -> None:
    ours, theirs = await start(TCP), await start(TCP)
    theirs.answer_all(200)
    flow = await ours.endpoint.flow_to(theirs.target())
    inbox = Inbox()
    ours.endpoint.send(build_request(), flow, inbox)
    event = await inbox.response()
    assert (event.response.status, event.flow) == (200, flow)
    assert event.response.via.transport == "TCP"


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_message_may_arrive_in_pieces_of_any_size(start: Start, size: int) -> None:
    ours = await start(TCP)
    data = b"\r\n\r\n" + options("z9hG4bK1").to_bytes() + options("z9hG4bK2").to_bytes()
    async with wire_to(ours) as wire:
        for begin in range(0, len(data), size):
            wire.writer.write(data[begin : begin + size])
            await wire.writer.drain()
        branches = [(await ours.provider.request()).request.via.branch for _ in range(2)]
        assert branches == ["z9hG4bK1", "z9hG4bK2"]
        assert await wire.read(2) == b"\r\n"


async def test_a_stream_that_cannot_be_cut_is_closed_and_counted(start: Start) -> None:
    metrics = Metrics()
    ours = await start(TCP, metrics=metrics)
    async with wire_to(ours) as wire:
        wire.writer.write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: many\r\n\r\n")
        assert await wire.ended()
    labels = {"door": "provider"}
    assert metrics.registry.get_sample_value("sipis_malformed_total", labels) == 1


async def test_an_oversized_message_closes_the_stream(start: Start) -> None:
    ours = await start(TCP)
    async with wire_to(ours) as wire:
        wire.writer.write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 70000\r\n\r\n")
        assert await wire.ended()


async def test_a_stranger_who_sends_too_many_messages_is_hung_up_on(start: Start) -> None:
    metrics = Metrics()
    ours = await start(TCP, metrics=metrics, limits=Limits(rate=Rate(0, 3)))
    async with wire_to(ours) as wire:
        wire.writer.write(b"".join(options(f"z9hG4bK{n}").to_bytes() for n in range(1000)))
        assert await wire.ended()
    assert len(ours.provider.events) == 3
    labels = {"door": "provider"}
    assert metrics.registry.get_sample_value("sipis_sources_limited_total", labels) == 1


async def test_many_keep_alives_that_come_at_once_get_a_few_answers(start: Start) -> None:
    ours = await start(TCP, limits=Limits(rate=Rate(0, 100)))
    async with wire_to(ours) as wire:
        wire.writer.write(b"\r\n" * 10_000 + options().to_bytes())
        await ours.provider.request()
        assert await wire.read(2) == b"\r\n"
        await ours.endpoint.stop()
        assert len(await wire.reader.read()) < 200


async def test_half_messages_of_all_together_are_held_up_to_a_limit(start: Start) -> None:
    ours = await start(TCP, limits=Limits(unfinished=3 * FREE))
    half = b"OPTIONS sip:x SIP/2.0\r\nX: " + b"y" * 2 * FREE
    async with wire_to(ours) as first, wire_to(ours) as second, wire_to(ours) as third:
        first.writer.write(half)
        await until(lambda: ours.endpoint._connections._unfinished.held == len(half))
        second.writer.write(half)
        assert await second.ended()
        third.writer.write(half[:FREE])
        await until(lambda: ours.endpoint._connections._unfinished.held == len(half) + FREE)
        first.writer.close()
        await until(lambda: ours.endpoint._connections._unfinished.held == FREE)
        third.writer.write(half[FREE:])
        await until(lambda: ours.endpoint._connections._unfinished.held == len(half))
    await until(lambda: ours.endpoint._connections._unfinished.held == 0)


async def test_a_peer_that_sends_its_message_too_slowly_is_cut_off(
    start: Start, clock: ManualClock
) -> None:
    ours = await start(TCP)
    async with wire_to(ours) as wire:
        wire.writer.write(options().to_bytes() + b"OPTIONS sip:x SIP/2.0\r\n")
        await ours.provider.request()
        for _ in range(4):
            await clock.advance(3)
            wire.writer.write(b"X: y\r\n")
        await clock.advance(3)
        assert await wire.ended()


async def test_a_peer_that_connects_and_says_nothing_is_cut_off(
    start: Start, clock: ManualClock
) -> None:
    ours = await start(TCP)
    async with wire_to(ours) as wire:
        await until(lambda: len(ours.endpoint._connections._table) == 1)
        await clock.advance(13)
        assert await wire.ended()


async def test_an_idle_connection_is_closed_unless_somebody_holds_it(
    start: Start, clock: ManualClock
) -> None:
    ours = await start(app=[TCP])
    closed: list[Flow] = []
    ours.endpoint.on_flow_closed.append(closed.append)
    async with wire_to(ours) as held, wire_to(ours) as idle:
        for number, wire in enumerate((held, idle)):
            wire.writer.write(options(f"z9hG4bK{number}").to_bytes())
        flows = {}
        for _ in range(2):
            event = await ours.app.request()
            flows[event.request.via.branch] = event.flow
            assert event.transaction is not None
            ours.endpoint.drop(event.transaction)
        ours.endpoint.hold(flows["z9hG4bK0"], 3600)
        await clock.advance(125)
        assert await idle.ended()
        assert closed == [flows["z9hG4bK1"]]
        assert ours.endpoint.is_open(flows["z9hG4bK0"])
        held.writer.write(options("z9hG4bK3").to_bytes())
        assert (await ours.app.request()).flow == flows["z9hG4bK0"]


async def test_keep_alives_keep_a_connection_open(start: Start, clock: ManualClock) -> None:
    ours = await start(TCP)
    async with wire_to(ours) as wire:
        for _ in range(4):
            wire.writer.write(b"\r\n\r\n")
            assert await wire.read(2) == b"\r\n"
            await clock.advance(100)
        wire.writer.write(options().to_bytes())
        await ours.provider.request()


async def test_a_peer_that_reads_nothing_is_cut_off(start: Start) -> None:
    ours = await start()
    async with silent_server() as (target, writers):
        flow = await ours.endpoint.flow_to(target)
        await until(lambda: bool(writers))
        writers[0].transport.pause_reading()  # type: ignore[attr-defined]
        inbox = Inbox()
        big = build_request("MESSAGE")
        big.body = b"x" * 60_000
        for _ in range(MOST_UNSENT * 40 // 60_000):
            if ours.endpoint.is_open(flow):
                ours.endpoint.send(big, flow, inbox)
                await asyncio.sleep(0)
        assert isinstance(await inbox.next(), RequestFailed)
        assert not ours.endpoint.is_open(flow)


async def test_a_lost_connection_fails_its_requests_and_tells_who_cares(start: Start) -> None:
    ours = await start()
    closed: list[Flow] = []
    ours.endpoint.on_flow_closed.append(closed.append)
    async with silent_server() as (target, writers):
        flow = await ours.endpoint.flow_to(target)
        inbox = Inbox()
        transaction = ours.endpoint.send(build_request(), flow, inbox)
        await until(lambda: bool(writers))
        writers[0].transport.abort()
        failed = await inbox.next()
        assert isinstance(failed, RequestFailed)
        assert failed.transaction == transaction
        assert closed == [flow]
        ours.endpoint.send(build_request(), flow, inbox)
        assert isinstance(await inbox.next(), RequestFailed)


async def test_a_half_open_flow_that_used_to_answer_is_found_dead(
    start: Start, clock: ManualClock
) -> None:
    ours, theirs = await start(), await start(TCP)
    theirs.answer_all(200)
    flow = await ours.endpoint.flow_to(theirs.target())
    inbox = Inbox()
    ours.endpoint.send(build_request(), flow, inbox)
    await inbox.response()
    ours.endpoint.hold(flow, 3600)
    await clock.advance(121)
    await until(lambda: ours.endpoint.last_received(flow) > clock.monotonic() - 40)
    _fall_silent(theirs)
    await clock.advance(140)
    await until(lambda: not ours.endpoint.is_open(flow))


def _fall_silent(party: Party) -> None:
    """Stop reading all connections, as a host does that lost its power."""
    for connection in party.endpoint._connections._table:
        connection._transport.pause_reading()  # type: ignore[attr-defined]


async def test_requests_to_one_target_share_a_connection_and_other_shares_do_not(
    start: Start,
) -> None:
    ours, theirs = await start(), await start(TCP)
    flows = await asyncio.gather(*(ours.endpoint.flow_to(theirs.target()) for _ in range(10)))
    assert len(set(flows)) == 1
    other = await ours.endpoint.flow_to(theirs.target(), share="account")
    assert other not in flows
    ours.endpoint.close(flows[0])
    assert await ours.endpoint.flow_to(theirs.target()) != flows[0]


async def test_the_server_reaches_us_on_the_connection_that_we_opened(start: Start) -> None:
    ours, theirs = await start(), await start(TCP)
    flow = await ours.endpoint.flow_to(theirs.target())
    ours.endpoint.send(build_request(), flow, Inbox())
    event = await theirs.provider.request()
    inbox = Inbox()
    theirs.endpoint.send(build_request("INVITE"), event.flow, inbox)
    invite = await ours.provider.request()
    assert invite.flow == flow
    assert invite.transaction is not None
    ours.endpoint.respond(invite.transaction, response_to(invite.request, 486, to_tag="t"))
    assert (await inbox.response()).response.status in (100, 486)


async def test_one_source_gets_only_so_many_connections(start: Start) -> None:
    ours = await start(TCP, limits=Limits(per_source=1))
    async with wire_to(ours) as first:
        first.writer.write(b"\r\n\r\n")
        assert await first.read(2) == b"\r\n"
        async with wire_to(ours) as second:
            assert await second.ended()


async def test_nobody_listening_is_a_transport_error(start: Start) -> None:
    ours, theirs = await start(), await start(TCP)
    target = theirs.target()
    await theirs.endpoint.stop()
    with pytest.raises(TransportError):
        await ours.endpoint.flow_to(target)


async def test_stop_sends_what_was_said_before_it_closes(start: Start) -> None:
    ours, theirs = await start(), await start(TCP)
    flow = await ours.endpoint.flow_to(theirs.target())
    ours.endpoint.send(build_request(), flow, Inbox())
    await ours.endpoint.stop()
    assert (await theirs.provider.request()).request.method == "REGISTER"


def server_tls(issued: Issued) -> TlsSettings:
    return TlsSettings(issued.cert_file, issued.key_file)


def client_tls(authority: Authority, pin: str = "", domain: str = "example.com") -> TlsSettings:
    return TlsSettings(providers={domain: TlsPolicy(authority.file, pin)})


async def test_a_request_over_tls_reaches_the_domain_that_was_asked_for(
    start: Start, authority: Authority, server_certificate: Issued
) -> None:
    theirs = await start(TLS, tls=server_tls(server_certificate))
    ours = await start(tls=client_tls(authority))
    theirs.answer_all(200)
    flow = await ours.endpoint.flow_to(theirs.target(tls_name="example.com"))
    inbox = Inbox()
    ours.endpoint.send(build_request(), flow, inbox)
    assert (await inbox.response()).response.via.transport == "TLS"


async def test_a_server_of_another_domain_gets_no_byte_of_sip(
    start: Start, authority: Authority
) -> None:
    issued = authority.issue(x509.DNSName("*.example.com"), x509.DNSName("example.net"))
    theirs = await start(TLS, tls=server_tls(issued))
    ours = await start(tls=client_tls(authority))
    with pytest.raises(TransportError, match="another domain"):
        await ours.endpoint.flow_to(theirs.target(tls_name="example.com"))
    assert theirs.provider.events == []


async def test_a_certificate_of_an_unknown_authority_is_refused(
    start: Start, server_certificate: Issued
) -> None:
    theirs = await start(TLS, tls=server_tls(server_certificate))
    ours = await start()
    with pytest.raises(TransportError, match="not trusted"):
        await ours.endpoint.flow_to(theirs.target(tls_name="example.com"))


async def test_the_policy_of_the_account_s_provider_serves_for_its_outbound_proxy(
    start: Start, authority: Authority
) -> None:
    issued = authority.issue(x509.DNSName("proxy.example.net"))
    theirs = await start(TLS, tls=server_tls(issued))
    ours = await start(tls=client_tls(authority))
    target = theirs.target(tls_name="proxy.example.net")
    with pytest.raises(TransportError):
        await ours.endpoint.flow_to(target)
    assert await ours.endpoint.flow_to(target, provider="example.com")


async def test_a_pinned_certificate_is_accepted_and_any_other_refused(
    start: Start, authority: Authority, server_certificate: Issued
) -> None:
    der = server_certificate.certificate.public_bytes(Encoding.DER)
    theirs = await start(TLS, tls=server_tls(server_certificate))
    target = theirs.target(tls_name="pinned.example")
    for digest, passes in ((hashlib.sha256(der).hexdigest(), True), ("0" * 64, False)):
        ours = await start(tls=client_tls(authority, digest, "pinned.example"))
        if passes:
            assert await ours.endpoint.flow_to(target)
        else:
            with pytest.raises(TransportError, match="pinned"):
                await ours.endpoint.flow_to(target)


async def test_a_renewed_certificate_is_shown_to_the_next_connection(
    start: Start, authority: Authority
) -> None:
    issued = authority.issue(x509.DNSName("old.example"))
    theirs = await start(TLS, tls=server_tls(issued))
    ours = await start(tls=client_tls(authority, domain="new.example"))
    renewed = authority.issue(x509.DNSName("new.example"))
    issued.cert_file.write_bytes(renewed.cert_file.read_bytes())
    issued.key_file.write_bytes(renewed.key_file.read_bytes())
    target = theirs.target(tls_name="new.example")
    with pytest.raises(TransportError):
        await ours.endpoint.flow_to(target)
    theirs.endpoint.reload_certificates()
    assert await ours.endpoint.flow_to(target)


async def test_each_door_hears_its_own_listeners(start: Start) -> None:
    ours, theirs = await start(TCP, app=[TCP]), await start()
    for place, door in ((0, Door.PROVIDER), (1, Door.APP)):
        flow = await theirs.endpoint.flow_to(ours.target(place))
        theirs.endpoint.send(build_request("OPTIONS"), flow, Inbox())
        inbox = ours.provider if door is Door.PROVIDER else ours.app
        assert (await inbox.request()).flow.door is door
