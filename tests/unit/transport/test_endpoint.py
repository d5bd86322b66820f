"""The endpoint over real sockets: requests, responses, time, and what goes wrong."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import structlog

from sipis.clock import ManualClock
from sipis.errors import ConfigError, RefusedAddress
from sipis.observe.metrics import Metrics
from sipis.sip.events import (
    AckMissing,
    CancelReceived,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
)
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request, Response, parse_message, response_to
from sipis.transport.endpoint import Endpoint
from sipis.transport.flows import Limits
from sipis.transport.targets import Target
from sipis.transport.throttle import Rate
from sipis.transport.udp import PEERS_KEPT
from tests.support.transport import PATIENCE, Inbox, Party, build_request

UDP, TCP = "udp:127.0.0.1:0", "tcp:127.0.0.1:0"
Start = Callable[..., Awaitable[Party]]


async def receive(peer: socket.socket) -> bytes:
    """The next datagram at a bare peer."""
    async with asyncio.timeout(PATIENCE):
        return await asyncio.get_running_loop().sock_recv(peer, 65_536)


async def ask(asker: Party, asked: Party, request: Request) -> Inbox:
    """Send a request from one party to another; the inbox gets what becomes of it."""
    inbox = Inbox()
    flow = await asker.endpoint.flow_to(asked.target())
    asker.endpoint.send(request, flow, inbox)
    return inbox


async def test_a_response_reaches_the_handler_of_its_own_request(start: Start) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    first, second = build_request(), build_request()
    one, other = await ask(ours, theirs, first), await ask(ours, theirs, second)
    for status in (403, 200):
        event = await theirs.provider.request()
        assert event.transaction is not None
        theirs.endpoint.respond(event.transaction, response_to(event.request, status, to_tag="t"))
    assert (await one.response()).response.status == 403
    assert (await other.response()).response.status == 200


async def test_a_request_arrives_with_a_via_of_ours_and_the_user_agent(start: Start) -> None:
    ours, theirs = await start(UDP, user_agent="sipis"), await start(UDP)
    await ask(ours, theirs, build_request())
    event = await theirs.provider.request()
    bound = ours.endpoint.listening[0]
    assert (event.request.via.host, event.request.via.port) == ("127.0.0.1", bound.port)
    assert event.request.via.transport == "UDP"
    assert event.request.headers.get("User-Agent") == "sipis"
    assert event.flow.remote == ("127.0.0.1", bound.port)


async def test_a_silent_server_times_the_request_out(start: Start, clock: ManualClock) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    inbox = await ask(ours, theirs, build_request())
    await theirs.provider.request()
    await clock.advance(33)
    assert isinstance(await inbox.next(), RequestTimedOut)


async def test_a_request_is_repeated_until_it_is_answered(
    start: Start, clock: ManualClock, peer: socket.socket
) -> None:
    ours = await start(UDP)
    flow = await ours.endpoint.flow_to(Target(Transport.UDP, *peer.getsockname()))
    ours.endpoint.send(build_request(), flow, Inbox())
    first = await receive(peer)
    await clock.advance(0.6)
    assert await receive(peer) == first


async def test_an_unreachable_target_fails_the_request_after_send_has_returned(
    start: Start, clock: ManualClock
) -> None:
    ours = await start("udp:127.0.0.1:0", policy=_Anywhere())
    flow = await ours.endpoint.flow_to(Target(Transport.UDP, "127.0.0.1", 0))
    inbox = Inbox()
    transaction = ours.endpoint.send(build_request(), flow, inbox)
    assert inbox.events == []
    failed = await inbox.next()
    assert isinstance(failed, RequestFailed)
    assert failed.transaction == transaction


class _Anywhere:
    """A policy that passes a port to which no packet can be sent."""

    def check(self, host: str, port: int) -> None:
        pass


async def test_an_abandoned_request_tells_nobody(start: Start, clock: ManualClock) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    inbox = Inbox()
    flow = await ours.endpoint.flow_to(theirs.target())
    ours.endpoint.abandon(ours.endpoint.send(build_request(), flow, inbox))
    await theirs.provider.request()
    await clock.advance(40)
    assert inbox.events == []
    assert ours.endpoint.transactions == 0


async def test_a_dropped_request_is_never_answered(
    start: Start, clock: ManualClock, peer: socket.socket
) -> None:
    ours = await start(UDP)
    request = build_request("OPTIONS", Via="SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa;rport")
    peer.sendto(request.to_bytes(), ("127.0.0.1", ours.endpoint.listening[0].port))
    event = await ours.provider.request()
    assert event.transaction is not None
    ours.endpoint.drop(event.transaction)
    await clock.advance(40)
    with pytest.raises(BlockingIOError):
        peer.recv(1)


async def test_a_cancelled_invite_tells_both_sides(start: Start) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    inbox = Inbox()
    flow = await ours.endpoint.flow_to(theirs.target())
    invite = ours.endpoint.send(build_request("INVITE"), flow, inbox)
    event = await theirs.provider.request()
    assert event.transaction is not None
    theirs.endpoint.respond(event.transaction, response_to(event.request, 180, to_tag="t"))
    await inbox.response()
    ours.endpoint.cancel(invite, [("Reason", "SIP;cause=200")])
    cancelled = await theirs.provider.next()
    assert isinstance(cancelled, CancelReceived)
    assert cancelled.transaction == event.transaction
    theirs.endpoint.respond(event.transaction, response_to(event.request, 487, to_tag="t"))
    assert (await inbox.response()).response.status == 487


async def test_the_ack_of_a_2xx_arrives_and_is_repeated_with_it(
    start: Start, clock: ManualClock
) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    flow = await ours.endpoint.flow_to(theirs.target())
    inbox = Inbox()
    invite = ours.endpoint.send(build_request("INVITE"), flow, inbox)
    event = await theirs.provider.request()
    assert event.transaction is not None
    theirs.endpoint.respond(event.transaction, response_to(event.request, 200, to_tag="t"))
    answered = (await inbox.response()).response
    ack = build_request("ACK")
    for name in ("Call-ID", "To"):
        ack.headers.set(name, answered.headers.get(name) or "")
    ours.endpoint.ack(ack, flow, invite)
    received = await theirs.provider.request()
    assert (received.request.method, received.transaction) == ("ACK", None)


async def test_a_missing_ack_is_told_at_the_door_of_its_invite(
    start: Start, clock: ManualClock, peer: socket.socket
) -> None:
    ours = await start(UDP, app=[UDP])
    request = build_request("INVITE", Via="SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa;rport")
    peer.sendto(request.to_bytes(), ("127.0.0.1", ours.endpoint.listening[1].port))
    event = await ours.app.request()
    assert event.flow.door is Door.APP
    assert event.transaction is not None
    ours.endpoint.respond(event.transaction, response_to(event.request, 200, to_tag="t"))
    await clock.advance(33)
    assert await ours.app.next() == AckMissing(event.transaction)
    assert ours.provider.events == []


async def test_a_handler_that_crashes_is_counted_and_the_next_request_still_arrives(
    start: Start,
) -> None:
    metrics = Metrics()
    ours, theirs = await start(UDP), await start(UDP, metrics=metrics)
    inbox = Inbox()

    def crash(event: RequestReceived | CancelReceived | AckMissing) -> None:
        inbox(event)
        raise ValueError("a secret of the caller")

    theirs.endpoint.on_request[Door.PROVIDER] = crash
    with structlog.testing.capture_logs() as logs:
        await ask(ours, theirs, build_request("OPTIONS"))
        await inbox.request()
        await ask(ours, theirs, build_request("OPTIONS"))
        await inbox.request()
    assert [log["error"] for log in logs] == ["ValueError", "ValueError"]
    assert "secret" not in str(logs)
    assert metrics.registry.get_sample_value("sipis_crashes_total", {"room": "transport"}) == 2


async def test_nonsense_from_a_stranger_gets_no_answer_at_the_provider_door(
    start: Start, peer: socket.socket
) -> None:
    metrics = Metrics()
    ours = await start(UDP, metrics=metrics)
    target = ("127.0.0.1", ours.endpoint.listening[0].port)
    bad = build_request("OPTIONS", Via="SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa;rport")
    bad.headers.set("CSeq", "1 INVITE")
    peer.sendto(bad.to_bytes(), target)
    peer.sendto(build_request("OPTIONS", Via="SIP/2.0/UDP h;branch=z9hG4bKb").to_bytes(), target)
    await ours.provider.request()
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    labels = {"door": "provider"}
    assert metrics.registry.get_sample_value("sipis_malformed_total", labels) == 1


@pytest.mark.parametrize("place", [0, 1])
async def test_nonsense_from_a_trusted_source_is_answered(
    start: Start, peer: socket.socket, place: int
) -> None:
    ours = await start(UDP, app=[UDP])
    ours.endpoint.strangers.trusted = lambda flow: True
    bad = build_request("OPTIONS", Via="SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa;rport")
    bad.headers.set("CSeq", "1 INVITE")
    peer.sendto(bad.to_bytes(), ("127.0.0.1", ours.endpoint.listening[place].port))
    answer = parse_message(await receive(peer))
    assert isinstance(answer, Response)
    assert answer.status == 400


async def test_an_answer_to_a_stranger_at_the_app_door_is_never_larger_than_what_it_answers(
    start: Start, peer: socket.socket
) -> None:
    ours = await start(UDP, app=[UDP])
    door = ("127.0.0.1", ours.endpoint.listening[1].port)
    sizes = []
    for padding in (1, 300):
        request = build_request("OPTIONS", Via=f"SIP/2.0/UDP h;branch=z9hG4bK{padding};rport")
        request.headers.set("Subject", "x" * padding)
        peer.sendto(request.to_bytes(), door)
        event = await ours.app.request()
        assert event.transaction is not None
        answer = response_to(event.request, 401, to_tag="t")
        answer.headers.set("WWW-Authenticate", "x" * 100)
        ours.endpoint.respond(event.transaction, answer)
        sizes.append(len(request.to_bytes()))
    answered = await receive(peer)
    assert b"branch=z9hG4bK300" in answered
    assert sizes[0] < len(answered) <= sizes[1]
    with pytest.raises(BlockingIOError):
        peer.recv(1)


async def test_a_source_that_floods_is_cut_before_it_is_parsed(
    start: Start, peer: socket.socket
) -> None:
    metrics = Metrics()
    ours = await start(UDP, metrics=metrics, limits=Limits(rate=Rate(1, 3)))
    target = ("127.0.0.1", ours.endpoint.listening[0].port)
    for number in range(5):
        via = f"SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number}"
        peer.sendto(build_request("OPTIONS", Via=via).to_bytes(), target)
    for _ in range(3):
        await ours.provider.request()
    labels = {"door": "provider"}
    assert metrics.registry.get_sample_value("sipis_sources_limited_total", labels) == 2
    assert ours.provider.events == []


async def test_hosts_that_we_write_to_are_never_throttled(start: Start) -> None:
    ours, theirs = await start(UDP, limits=Limits(rate=Rate(0, 0))), await start(UDP)
    theirs.answer_all()
    for _ in range(3):
        inbox = await ask(ours, theirs, build_request("OPTIONS"))
        assert (await inbox.response()).response.status == 200


async def test_keep_alives_of_any_form_are_swallowed(start: Start, peer: socket.socket) -> None:
    ours = await start(UDP)
    target = ("127.0.0.1", ours.endpoint.listening[0].port)
    for data in (b"\r\n\r\n", b"\r\n", b"\0\0\0\0", b"", b"\0"):
        peer.sendto(data, target)
    peer.sendto(build_request("OPTIONS", Via="SIP/2.0/UDP h;branch=z9hG4bKb").to_bytes(), target)
    assert (await ours.provider.request()).request.method == "OPTIONS"
    with pytest.raises(BlockingIOError):
        peer.recv(1)


async def test_a_listener_in_use_is_a_configuration_error_that_names_it(start: Start) -> None:
    theirs = await start(UDP, TCP)
    for place, kind in enumerate(("udp", "tcp")):
        text = f"{kind}:127.0.0.1:{theirs.endpoint.listening[place].port}"
        with pytest.raises(ConfigError, match=text) as wrong:
            await start("udp:127.0.0.1:0", text)
        assert wrong.value.key == "sip.provider_listeners"


async def test_a_refused_target_gets_no_flow(start: Start) -> None:
    ours = await start(UDP)
    with pytest.raises(RefusedAddress):
        await ours.endpoint.flow_to(Target(Transport.UDP, "10.0.0.1", 5060))


async def test_shares_have_local_sources_of_their_own(start: Start) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    endpoint = ours.endpoint
    shared = await endpoint.flow_to(theirs.target())
    pool_1 = await endpoint.flow_to(theirs.target(), share="pool-1")
    pool_2 = await endpoint.flow_to(theirs.target(), share="pool-2")
    assert len({shared.local, pool_1.local, pool_2.local}) == 3
    assert await endpoint.flow_to(theirs.target(), share="pool-1") == pool_1
    theirs.answer_all()
    inbox = Inbox()
    endpoint.send(build_request(), pool_1, inbox)
    assert (await inbox.response()).flow == pool_1
    assert endpoint.contact_address(pool_1) == pool_1.local


async def test_a_udp_flow_says_when_it_was_last_heard(start: Start, clock: ManualClock) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    theirs.answer_all()
    flow = await ours.endpoint.flow_to(theirs.target())
    assert ours.endpoint.last_received(flow) == float("-inf")
    await (await ask(ours, theirs, build_request())).response()
    assert ours.endpoint.last_received(flow) == clock.monotonic()
    assert ours.endpoint.is_open(flow)


async def test_nothing_leaves_an_endpoint_that_was_stopped(start: Start) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    flow = await ours.endpoint.flow_to(theirs.target())
    await ours.endpoint.stop()
    assert not ours.endpoint.is_open(flow)


async def test_a_held_udp_flow_is_kept_alive_and_an_unused_one_is_not(
    start: Start, clock: ManualClock, peer: socket.socket
) -> None:
    ours, theirs = await start(UDP), await start(UDP)
    theirs.answer_all()
    await ours.endpoint.flow_to(Target(Transport.UDP, *peer.getsockname()))
    inbox = await ask(ours, theirs, build_request())
    flow = (await inbox.response()).flow
    ours.endpoint.hold(flow, 3600)
    await clock.advance(120)
    assert theirs.endpoint.last_received(_reverse(flow, theirs)) > clock.monotonic() - 30
    with pytest.raises(BlockingIOError):
        peer.recv(1)


def _reverse(flow: Flow, party: Party) -> Flow:
    """The flow as the other party sees it."""
    socket_id = next(iter(party.endpoint._udp._sockets))
    return replace(
        flow, id=socket_id, local=flow.remote, remote=flow.local, listener="udp:127.0.0.1:0"
    )


async def test_a_response_that_tells_a_public_address_is_news_and_changes_the_contact(
    start: Start, peer: socket.socket
) -> None:
    ours = await start(UDP)
    news: list[Flow] = []
    ours.endpoint.on_address_change.append(news.append)
    flow = await ours.endpoint.flow_to(Target(Transport.UDP, *peer.getsockname()))
    inbox = Inbox()
    ours.endpoint.send(build_request(), flow, inbox)
    request = parse_message(await receive(peer))
    assert isinstance(request, Request)
    via = request.via.with_param("received", "8.8.8.8").with_param("rport", "1234")
    request.headers.set("Via", str(via))
    peer.sendto(response_to(request, 401, to_tag="t").to_bytes(), flow.local)
    await inbox.response()
    assert news == [flow]
    assert ours.endpoint.contact_address(flow) == ("8.8.8.8", 1234)


async def test_an_advertised_address_stands_in_the_via(start: Start) -> None:
    ours, theirs = await start(UDP, advertise="sip.example.com:5999"), await start(UDP)
    await ask(ours, theirs, build_request())
    via = (await theirs.provider.request()).request.via
    assert (via.host, via.port, via.received) == ("sip.example.com", 5999, "127.0.0.1")


async def test_open_connections_are_counted_by_door_and_transport(start: Start) -> None:
    metrics = Metrics()
    ours, theirs = await start(app=[TCP], metrics=metrics), await start()
    flow = await theirs.endpoint.flow_to(ours.target())
    theirs.endpoint.send(build_request("OPTIONS"), flow, Inbox())
    event = await ours.app.request()
    labels = {"door": "app", "transport": "tcp"}
    assert metrics.registry.get_sample_value("sipis_flows", labels) == 1
    ours.endpoint.close(event.flow)
    async with asyncio.timeout(PATIENCE):
        while ours.endpoint.is_open(event.flow):  # noqa: ASYNC110 - closing has no event
            await asyncio.sleep(0)
    assert metrics.registry.get_sample_value("sipis_flows", labels) == 0


async def test_strangers_leave_nothing_behind_once_they_are_silent(
    start: Start, clock: ManualClock
) -> None:
    ours = await start(UDP)
    for number in range(20):
        via = f"SIP/2.0/UDP 127.0.9.{number};branch=z9hG4bK{number};rport"
        shout(
            f"127.0.9.{number}", build_request("INVITE", Via=via), ours.endpoint.listening[0].port
        )
    for _ in range(20):
        event = await ours.provider.request()
        assert event.transaction is not None
        ours.endpoint.respond(event.transaction, response_to(event.request, 480, to_tag="t"))
    ours.endpoint.forget_idle()
    assert remembered(ours.endpoint) == {"peers": 20, "sources": 20, "invites": 20}
    await clock.advance(PEERS_KEPT + 1)
    ours.endpoint.forget_idle()
    assert ours.endpoint.transactions == 0
    assert remembered(ours.endpoint) == {"peers": 0, "sources": 0, "invites": 0}


def shout(host: str, request: Request, port: int) -> None:
    """Send one datagram from an address of loopback, and go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((host, 0))
        stranger.sendto(request.to_bytes(), ("127.0.0.1", port))


def remembered(endpoint: Endpoint) -> dict[str, int]:
    """How much an endpoint knows of others."""
    return {
        "peers": sum(len(one._peers) for one in endpoint._udp._sockets.values()),
        "sources": len(endpoint.strangers._throttle._buckets),
        "invites": len(endpoint._dispatch._invites),
    }


async def test_an_app_that_leaves_takes_what_was_known_of_its_connection(start: Start) -> None:
    ours, theirs = await start(app=[TCP]), await start(UDP)
    flow = await theirs.endpoint.flow_to(ours.target())
    theirs.endpoint.send(build_request("OPTIONS"), flow, Inbox())
    theirs.answer_all()
    event = await ours.app.request()
    inbox = Inbox()
    ours.endpoint.send(build_request("OPTIONS"), event.flow, inbox)
    await inbox.response()
    assert ours.endpoint._addresses._found
    assert ours.endpoint._detours._places._spoke
    ours.endpoint.close(event.flow)
    async with asyncio.timeout(PATIENCE):
        while ours.endpoint._addresses._found:  # noqa: ASYNC110 - closing has no event
            await asyncio.sleep(0)
    assert not ours.endpoint._detours._places._spoke
