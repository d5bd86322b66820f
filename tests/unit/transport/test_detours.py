"""Large requests: over TCP where that can be had, over UDP where it cannot (RFC 3261 18.1.1)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from sipis.clock import ManualClock
from sipis.errors import TransportError
from sipis.sip.events import RequestTimedOut
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.limits import LARGEST_REQUEST
from sipis.sip.message import Request, response_to
from sipis.transport.detours import MOST_PLACES, PATIENCE, SHUNNED_FOR, Detours, Places
from sipis.transport.networks import NetworkPolicy
from sipis.transport.targets import Target
from tests.support.processes import free_port_pair
from tests.support.transport import Inbox, Party, build_request

Start = Callable[..., Awaitable[Party]]

HERE, THERE = ("192.0.2.9", 5060), ("192.0.2.1", 5060)
UDP = Flow(1, Door.PROVIDER, Transport.UDP, HERE, THERE)
TCP = Flow(2, Door.PROVIDER, Transport.TCP, HERE, THERE)


class TestPlaces:
    def test_a_place_that_failed_is_shunned_for_its_time(self) -> None:
        places = Places()
        assert not places.shuns(THERE, 0.0)
        places.failed(THERE, 0.0)
        assert places.shuns(THERE, SHUNNED_FOR - 1)
        assert not places.shuns(THERE, SHUNNED_FOR)
        assert not places.shuns(("192.0.2.1", 5061), 1.0)

    def test_a_place_that_accepts_or_speaks_is_tried_again(self) -> None:
        for better in (Places.accepted, Places.spoke):
            places = Places()
            places.failed(THERE, 0.0)
            better(places, THERE)
            assert not places.shuns(THERE, 1.0)

    def test_a_place_that_was_left_is_not_forgiven(self) -> None:
        places = Places()
        places.spoke(THERE)
        places.forget(THERE)
        places.failed(THERE, 0.0)
        assert places.shuns(THERE, 1.0)

    def test_a_place_that_spoke_is_forgiven_once(self) -> None:
        places = Places()
        places.spoke(THERE)
        places.failed(THERE, 0.0)
        assert not places.shuns(THERE, 1.0)
        places.failed(THERE, 0.0)
        assert places.shuns(THERE, 1.0)

    def test_the_oldest_makes_room(self) -> None:
        places = Places()
        for port in range(MOST_PLACES + 1):
            places.spoke(("192.0.2.2", port))
            places.failed(("192.0.2.1", port), 0.0)
        assert not places.shuns(("192.0.2.1", 0), 1.0)
        assert places.shuns(("192.0.2.1", 1), 1.0)
        assert places.shuns(("192.0.2.1", MOST_PLACES), 1.0)
        places.failed(("192.0.2.2", 0), 0.0)
        assert places.shuns(("192.0.2.2", 0), 1.0)


class Bench:
    """Detours with a place that answers connection attempts when the test says so."""

    def __init__(self, clock: ManualClock) -> None:
        self.open: Flow | None = None
        self.wanted = True
        self.room = True
        self.attempts = 0
        self.outcome: asyncio.Future[Flow] = asyncio.get_running_loop().create_future()
        self.went: list[tuple[str, Flow]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.detours = Detours(clock, self, wanted=lambda _: self.wanted, spawn=self._spawn)

    def connected(self, flow: Flow) -> Flow | None:
        return self.open

    async def connect(self, flow: Flow) -> Flow:
        self.attempts += 1
        return await self.outcome

    def detour(self, transaction: str, stream: Flow) -> None:
        self.went.append((transaction, stream))

    def insist(self, transaction: str) -> None:
        self.went.append((transaction, UDP))

    async def accept(self) -> None:
        self.open = TCP
        self.outcome.set_result(TCP)
        await asyncio.gather(*self._tasks)

    async def refuse(self) -> None:
        self.outcome.set_exception(TransportError("refused"))
        await asyncio.gather(*self._tasks)
        self.outcome = asyncio.get_running_loop().create_future()

    def _spawn(self, _name: str, job: Coroutine[object, object, None]) -> bool:
        if not self.room:
            job.close()
            return False
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True


@pytest.fixture
async def bench(clock: ManualClock) -> Bench:
    return Bench(clock)


async def test_all_who_wait_share_one_connection(bench: Bench) -> None:
    bench.detours.seek("one", UDP)
    bench.detours.seek("two", UDP)
    assert bench.went == []
    await bench.accept()
    assert bench.attempts == 1
    assert bench.went == [("one", TCP), ("two", TCP)]


async def test_an_open_connection_is_used_at_once(bench: Bench) -> None:
    bench.open = TCP
    bench.detours.seek("one", UDP)
    assert bench.went == [("one", TCP)]
    assert bench.attempts == 0


async def test_a_refused_connection_sends_all_over_udp_and_is_remembered(
    bench: Bench, clock: ManualClock
) -> None:
    bench.detours.seek("one", UDP)
    bench.detours.seek("two", UDP)
    await bench.refuse()
    assert bench.went == [("one", UDP), ("two", UDP)]
    bench.detours.seek("three", UDP)
    assert bench.went[2:] == [("three", UDP)]
    assert bench.attempts == 1
    await clock.advance(SHUNNED_FOR)
    bench.detours.seek("four", UDP)
    await bench.accept()
    assert bench.went[3:] == [("four", TCP)]


async def test_nobody_waits_longer_than_a_moment(bench: Bench, clock: ManualClock) -> None:
    bench.detours.seek("one", UDP)
    await clock.advance(PATIENCE - 0.1)
    assert bench.went == []
    await clock.advance(0.1)
    assert bench.went == [("one", UDP)]
    bench.detours.seek("two", UDP)
    assert bench.went[1:] == [("two", UDP)]


async def test_a_connection_that_comes_late_serves_the_next(
    bench: Bench, clock: ManualClock
) -> None:
    bench.detours.seek("one", UDP)
    await clock.advance(PATIENCE)
    await bench.accept()
    assert bench.went == [("one", UDP)]
    bench.open = None
    bench.outcome = asyncio.get_running_loop().create_future()
    bench.detours.seek("two", UDP)
    await bench.accept()
    assert bench.went[1:] == [("two", TCP)]


async def test_where_no_connection_is_wanted_none_is_tried(bench: Bench) -> None:
    bench.wanted = False
    bench.detours.seek("one", UDP)
    assert bench.went == [("one", UDP)]
    assert bench.attempts == 0


async def test_who_waits_when_the_endpoint_stops_is_forgotten(
    bench: Bench, clock: ManualClock
) -> None:
    bench.detours.seek("one", UDP)
    bench.detours.stop()
    assert clock.next_alarm() is None
    await bench.accept()
    assert bench.went == []


async def test_with_no_room_for_an_attempt_udp_has_to_do(bench: Bench) -> None:
    bench.room = False
    bench.detours.seek("one", UDP)
    assert bench.went == [("one", UDP)]


async def test_an_idle_connection_that_the_server_closed_is_opened_again(bench: Bench) -> None:
    bench.open = TCP
    bench.detours.spoke(TCP)
    bench.detours.failed(UDP)
    bench.detours.seek("one", UDP)
    assert bench.went == [("one", TCP)]


async def test_a_detour_that_failed_later_is_remembered_too(bench: Bench) -> None:
    bench.detours.failed(UDP)
    bench.detours.seek("one", UDP)
    assert bench.went == [("one", UDP)]


class TestOverSockets:
    """An endpoint, and a peer that has TCP beside its UDP or has not."""

    def both(self) -> tuple[str, str]:
        port = free_port_pair()
        return f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"

    @pytest.fixture
    async def ours(self, start: Start) -> Party:
        return await start("udp:127.0.0.1:0")

    @pytest.fixture
    async def theirs(self, start: Start) -> Party:
        """A peer that answers everything, over UDP and TCP."""
        party = await start(*self.both())
        party.answer_all()
        return party

    @pytest.fixture
    async def udp_only(self, start: Start) -> Party:
        """A peer that answers everything over UDP; its port is free for TCP."""
        party = await start(self.both()[0])
        party.answer_all()
        return party

    def large(self, method: str = "OPTIONS") -> Request:
        return build_request(method, Subject="x" * LARGEST_REQUEST)

    async def send(self, ours: Party, theirs: Party, request: Request) -> Inbox:
        inbox = Inbox()
        flow = await ours.endpoint.flow_to(theirs.target())
        assert flow.transport is Transport.UDP
        ours.endpoint.send(request, flow, inbox)
        return inbox

    async def test_a_large_request_arrives_over_tcp_and_a_small_one_over_udp(
        self, ours: Party, theirs: Party
    ) -> None:
        for request, expected in (
            (self.large(), Transport.TCP),
            (build_request("OPTIONS"), Transport.UDP),
            (self.large(), Transport.TCP),
        ):
            inbox = await self.send(ours, theirs, request)
            response = await inbox.response()
            assert response.response.status == 200
            assert response.flow.transport is expected
            assert response.response.via.transport == expected.via_token

    async def test_one_connection_carries_them_all(self, ours: Party, theirs: Party) -> None:
        inboxes = [await self.send(ours, theirs, self.large()) for _ in range(3)]
        flows = {(await inbox.response()).flow for inbox in inboxes}
        assert len(flows) == 1

    async def test_sources_of_their_own_share_no_connection(
        self, ours: Party, theirs: Party
    ) -> None:
        flows = set()
        for share in ("", "pool-1", "pool-2"):
            inbox = Inbox()
            flow = await ours.endpoint.flow_to(theirs.target(), share=share)
            ours.endpoint.send(self.large(), flow, inbox)
            flows.add((await inbox.response()).flow)
        assert len(flows) == 3

    async def test_without_tcp_it_arrives_over_udp(self, ours: Party, udp_only: Party) -> None:
        inbox = await self.send(ours, udp_only, self.large())
        assert (await inbox.response()).flow.transport is Transport.UDP

    async def test_a_server_that_hangs_up_gets_it_over_udp(
        self, ours: Party, udp_only: Party
    ) -> None:
        accepted = Inbox()

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted("connection")
            writer.transport.abort()

        async with await asyncio.start_server(hang_up, "127.0.0.1", udp_only.target().port):
            for _ in range(2):
                inbox = await self.send(ours, udp_only, self.large())
                assert (await inbox.response()).flow.transport is Transport.UDP
        assert accepted.events == ["connection"]

    async def test_a_server_that_is_silent_over_tcp_is_asked_over_udp_the_next_time(
        self, ours: Party, udp_only: Party, clock: ManualClock
    ) -> None:
        accepted, leave = Inbox(), asyncio.Event()

        async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted("connection")
            await leave.wait()
            writer.transport.abort()

        async with await asyncio.start_server(swallow, "127.0.0.1", udp_only.target().port):
            inbox = await self.send(ours, udp_only, self.large())
            await accepted.next()
            await clock.advance(33)
            assert isinstance(await inbox.next(), RequestTimedOut)
            inbox = await self.send(ours, udp_only, self.large())
            assert (await inbox.response()).flow.transport is Transport.UDP
            leave.set()

    async def test_an_invite_is_cancelled_over_the_connection_that_it_took(
        self, ours: Party, start: Start
    ) -> None:
        theirs = await start(*self.both())
        inbox = Inbox()
        flow = await ours.endpoint.flow_to(theirs.target())
        transaction = ours.endpoint.send(self.large("INVITE"), flow, inbox)
        event = await theirs.provider.request()
        assert event.transaction is not None
        theirs.endpoint.respond(event.transaction, response_to(event.request, 180, to_tag="t"))
        await inbox.response()
        ours.endpoint.cancel(transaction)
        theirs.provider.events.clear()
        theirs.endpoint.respond(event.transaction, response_to(event.request, 487, to_tag="t"))
        assert (await inbox.response()).flow.transport is Transport.TCP

    async def test_an_app_is_not_connected_to_unless_somebody_vouches_for_its_address(
        self, start: Start, theirs: Party
    ) -> None:
        ours = await start("udp:127.0.0.1:0", app=["udp:127.0.0.1:0"])
        ways = []
        for connectable in (False, True):
            if connectable:
                ours.endpoint.connectable = lambda _flow: True
            inbox = Inbox()
            flow = await ours.endpoint.flow_to(theirs.target(), door=Door.APP)
            ours.endpoint.hold(flow, 60)
            ours.endpoint.send(self.large(), flow, inbox)
            ways.append((await inbox.response()).flow.transport)
        assert ways == [Transport.UDP, Transport.TCP]

    async def test_an_address_that_the_policy_refuses_is_never_connected_to(
        self, ours: Party, theirs: Party
    ) -> None:
        flow = await ours.endpoint.flow_to(theirs.target())
        ours.endpoint._policy = NetworkPolicy()
        inbox = Inbox()
        ours.endpoint.send(self.large(), flow, inbox)
        assert (await inbox.response()).flow.transport is Transport.UDP

    async def test_what_is_abandoned_meanwhile_never_leaves(
        self, ours: Party, start: Start
    ) -> None:
        theirs = await start(*self.both())
        flow = await ours.endpoint.flow_to(theirs.target())
        ours.endpoint.abandon(ours.endpoint.send(self.large(), flow, Inbox()))
        ours.endpoint.send(self.large("MESSAGE"), flow, Inbox())
        assert (await theirs.provider.request()).request.method == "MESSAGE"
        assert theirs.provider.events == []

    async def test_a_literal_target_of_ipv6_is_connected_to_as_well(self, start: Start) -> None:
        port = free_port_pair()
        ours = await start("udp:[::1]:0")
        theirs = await start(f"udp:[::1]:{port}", f"tcp:[::1]:{port}")
        theirs.answer_all()
        inbox = Inbox()
        flow = await ours.endpoint.flow_to(Target(Transport.UDP, "::1", port))
        ours.endpoint.send(self.large(), flow, inbox)
        assert (await inbox.response()).flow.transport is Transport.TCP
