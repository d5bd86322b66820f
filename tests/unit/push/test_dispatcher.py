"""The dispatcher with a scripted service, and once with a real APNs of the world."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from sipis.clock import ManualClock
from sipis.errors import KeyGone
from sipis.model import Environment, PushEvent, PushService, PushTarget, TargetKind
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.push.budget import Rate, Rates
from sipis.push.circuit import FIRST_PAUSE
from sipis.push.dispatcher import Dispatcher
from sipis.push.gate import Why
from sipis.push.outcome import (
    NO_ACCOUNT,
    NO_KEY,
    UNKNOWN,
    Accepted,
    Ambiguous,
    DeadTarget,
    Faulty,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.push.provider import AddressedTarget, Notification, TargetedPush
from sipis.push.report import PushReport, Unsent
from sipis.world.apns import Apns
from sipis.world.behaviour import Reply, Silence
from tests.support.push import Sender, notification, settle

RING = 20.0
WRONG_KEY = Misconfigured("InvalidProviderToken")
WRONG_ENVIRONMENT = DeadTarget("BadDeviceToken", other_environment=True)
Act = PushOutcome | Exception | Callable[[], Awaitable[PushOutcome]]


@dataclass
class Service:
    """A push service that does what it is told, by token."""

    service: PushService = PushService.APNS
    acts: defaultdict[str, list[Act]] = field(default_factory=lambda: defaultdict(list))
    sent: list[TargetedPush] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)
    closed: bool = False

    async def send(self, push: TargetedPush) -> PushOutcome:
        self.sent.append(push)
        acts = self.acts[push.target.token]
        act = acts.pop(0) if acts else Accepted()
        if isinstance(act, Exception):
            raise act
        return await act() if callable(act) else act

    def warm(self, app: str) -> None:
        self.warmed.append(app)

    async def close(self) -> None:
        self.closed = True


@dataclass
class Fates:
    died: list[tuple[str, str]] = field(default_factory=list)
    worked: list[tuple[str, Environment]] = field(default_factory=list)

    def target_died(self, target: AddressedTarget, dead: DeadTarget) -> None:
        self.died.append((target.target.token, dead.reason))

    def target_worked(self, target: AddressedTarget, environment: Environment) -> None:
        self.worked.append((target.target.token, environment))


def target(
    token: str = "phone",
    *,
    kind: TargetKind = TargetKind.VOIP,
    service: PushService = PushService.APNS,
    registered_at: float = 1000.0,
    ever_accepted: bool = False,
    environment: Environment | None = None,
) -> AddressedTarget:
    return AddressedTarget(
        1, 0, PushTarget(service, kind, token, environment), registered_at, ever_accepted
    )


@dataclass
class Room:
    dispatcher: Dispatcher
    apns: Service
    fcm: Service
    fates: Fates
    clock: ManualClock
    metrics: Metrics

    def note(self, event: PushEvent = PushEvent.CALL, *, app: str = "app") -> Notification:
        return notification(event, app=app, deadline=self.clock.monotonic() + RING)

    async def announce(
        self,
        *targets: AddressedTarget,
        event: PushEvent = PushEvent.CALL,
        app: str = "app",
    ) -> PushReport:
        return await self.dispatcher.announce(self.note(event, app=app), targets or (target(),))

    def start(
        self, *targets: AddressedTarget, event: PushEvent = PushEvent.CALL
    ) -> asyncio.Task[PushReport]:
        return asyncio.create_task(self.announce(*targets, event=event))


@pytest.fixture
def room(clock: ManualClock, metrics: Metrics, supervisor: Supervisor) -> Room:
    apns, fcm, fates = Service(), Service(PushService.FCM), Fates()
    dispatcher = Dispatcher(
        (apns, fcm),
        clock=clock,
        supervisor=supervisor,
        metrics=metrics,
        entropy=lambda size: bytes(range(size)),
        fates=fates,
        rates=Rates(calls=Rate(1000, 1)),
    )
    return Room(dispatcher, apns, fcm, fates, clock, metrics)


class TestReport:
    async def test_an_accepted_push_is_counted_and_told(self, room: Room) -> None:
        report = await room.announce(target(environment=Environment.SANDBOX))
        await settle()
        assert report == PushReport(1, (), ())
        assert room.fates.worked == [("phone", Environment.SANDBOX)]
        expected = 'sipis_push_total{event="call",outcome="accepted",reason="",service="apns"} 1.0'
        assert expected in room.metrics.exposition().decode()

    async def test_no_targets_are_no_error(self, room: Room) -> None:
        assert await room.dispatcher.announce(room.note(), ()) == PushReport(0, (), ())

    async def test_the_first_acceptance_is_told_before_the_slower_targets_are_done(
        self, room: Room
    ) -> None:
        told: list[str] = []
        gate = asyncio.Event()

        async def slowly() -> PushOutcome:
            await gate.wait()
            return Accepted()

        room.apns.acts["slow"] = [slowly]
        announcing = asyncio.create_task(
            room.dispatcher.announce(
                room.note(), (target("slow"), target("fast")), lambda: told.append("accepted")
            )
        )
        await settle()
        assert told == ["accepted"]
        gate.set()
        assert (await announcing).accepted == 2
        assert told == ["accepted"]

    async def test_a_service_without_an_adapter_fails_its_targets(
        self, clock: ManualClock, metrics: Metrics, supervisor: Supervisor
    ) -> None:
        empty = Dispatcher((), clock=clock, supervisor=supervisor, metrics=metrics, entropy=bytes)
        report = await empty.announce(notification(), (target(),))
        assert report.failed[0].outcome == Misconfigured(NO_ACCOUNT)

    @pytest.mark.parametrize(
        ("crash", "outcome"),
        [(ValueError("secret"), Faulty(UNKNOWN)), (KeyGone("gone"), Misconfigured(NO_KEY))],
    )
    async def test_a_crash_of_an_adapter_costs_the_push_and_nothing_else(
        self, room: Room, crash: Exception, outcome: PushOutcome
    ) -> None:
        room.apns.acts["phone"] = [crash]
        report = await room.announce()
        assert report.failed[0].outcome == outcome

    @pytest.mark.parametrize(
        ("outcome", "doubtful"), [(Ambiguous("deadline"), 1), (Faulty("BadTopic"), 0)]
    )
    async def test_only_a_push_without_an_answer_leaves_a_doubt(
        self, room: Room, outcome: PushOutcome, doubtful: int
    ) -> None:
        room.apns.acts["silent"] = [outcome] * 9
        announcing = room.start(target("silent"), target("phone"))
        await room.clock.advance(RING)
        report = await announcing
        assert (report.accepted, report.doubtful) == (1, doubtful)


class TestRouting:
    async def test_a_call_rings_the_voip_token_and_not_the_alert_token_of_the_same_phone(
        self, room: Room
    ) -> None:
        await room.announce(target("voip"), target("alert", kind=TargetKind.ALERT))
        assert [push.target.token for push in room.apns.sent] == ["voip"]

    async def test_a_dead_voip_token_lets_the_alert_token_ring(self, room: Room) -> None:
        room.apns.acts["voip"] = [DeadTarget("ExpiredToken")]
        report = await room.announce(target("voip"), target("alert", kind=TargetKind.ALERT))
        assert report.accepted == 1
        assert [push.target.token for push in room.apns.sent] == ["voip", "alert"]

    @pytest.mark.parametrize("event", [each for each in PushEvent if each is not PushEvent.CALL])
    async def test_nothing_but_a_call_ever_goes_to_a_voip_token(
        self, room: Room, event: PushEvent
    ) -> None:
        report = await room.announce(target("voip"), event=event)
        assert report.accepted == 0
        assert room.apns.sent == []

    async def test_each_service_gets_its_own_targets(self, room: Room) -> None:
        android = target("android", kind=TargetKind.TOKEN, service=PushService.FCM)
        report = await room.announce(target("iphone"), android)
        assert report.accepted == 2
        assert [push.target.token for push in room.fcm.sent] == ["android"]


class TestRetries:
    async def test_retries_keep_push_id_and_call_and_end_with_the_ring_time(
        self, room: Room
    ) -> None:
        room.apns.acts["phone"] = [Retry("connect")] * 99
        announcing = room.start()
        await room.clock.advance(RING)
        report = await announcing
        assert report.failed[0].outcome == Retry("connect")
        assert len({push.push_id for push in room.apns.sent}) == 1
        assert len({push.notification.call for push in room.apns.sent}) == 1
        assert 5 <= len(room.apns.sent) <= 8

    async def test_the_first_retry_of_a_call_comes_within_half_a_second(self, room: Room) -> None:
        room.apns.acts["phone"] = [Retry("ServiceUnavailable")]
        announcing = room.start()
        await room.clock.advance(0.5)
        assert (await announcing).accepted == 1

    async def test_an_attempt_of_a_call_has_three_seconds_at_most(self, room: Room) -> None:
        began = room.clock.monotonic()
        await room.announce()
        assert room.apns.sent[0].deadline - began <= 3

    async def test_an_attempt_never_outlives_the_notification(self, room: Room) -> None:
        note = replace(room.note(), deadline=room.clock.monotonic() + 1)
        await room.dispatcher.announce(note, (target(),))
        assert room.apns.sent[0].deadline == note.deadline

    async def test_a_delay_longer_than_the_ring_time_is_not_waited_for(self, room: Room) -> None:
        room.apns.acts["phone"] = [Retry("QUOTA_EXCEEDED", after=60)]
        report = await room.announce()
        assert report.failed[0].outcome == Retry("QUOTA_EXCEEDED", after=60)

    async def test_an_ambiguous_call_is_sent_exactly_once_more(self, room: Room) -> None:
        room.apns.acts["phone"] = [Ambiguous("deadline")] * 5
        announcing = room.start()
        await room.clock.advance(RING)
        await announcing
        assert len(room.apns.sent) == 2

    async def test_too_large_a_payload_is_followed_by_ids_only(self, room: Room) -> None:
        room.apns.acts["phone"] = [TooLarge("PayloadTooLarge")]
        note = replace(room.note(), payload={"v": 1, "call": "c", "sealed": "x"})
        assert (await room.dispatcher.announce(note, (target(),))).accepted == 1
        assert room.apns.sent[1].notification.payload == {"v": 1, "call": "c"}

    async def test_an_expired_notification_is_not_sent(self, room: Room) -> None:
        note = replace(room.note(), deadline=room.clock.monotonic())
        report = await room.dispatcher.announce(note, (target(),))
        assert report.failed[0].outcome == Unsent(Why.EXPIRED)
        assert room.apns.sent == []


class TestDeath:
    async def test_a_dead_target_is_reported_upwards(self, room: Room) -> None:
        room.apns.acts["phone"] = [DeadTarget("Unregistered", since=2000.0)]
        report = await room.announce(target(registered_at=1000.0))
        await settle()
        assert len(report.dead) == 1
        assert room.fates.died == [("phone", "Unregistered")]

    async def test_a_token_registered_after_apples_time_stamp_lives(self, room: Room) -> None:
        room.apns.acts["phone"] = [DeadTarget("Unregistered", since=2000.0)]
        report = await room.announce(target(registered_at=2001.0))
        await settle()
        assert report.dead == ()
        assert len(report.failed) == 1
        assert room.fates.died == []

    async def test_a_wrong_environment_is_found_out_and_remembered(self, room: Room) -> None:
        room.apns.acts["phone"] = [WRONG_ENVIRONMENT]
        report = await room.announce(target())
        await settle()
        assert report.accepted == 1
        assert [push.environment for push in room.apns.sent] == list(Environment)
        assert room.fates.worked == [("phone", Environment.SANDBOX)]

    async def test_a_token_unknown_in_both_environments_is_dead(self, room: Room) -> None:
        room.apns.acts["phone"] = [WRONG_ENVIRONMENT] * 2
        report = await room.announce(target())
        assert len(report.dead) == 1

    async def test_a_token_that_once_worked_is_never_killed_by_bad_device_token(
        self, room: Room
    ) -> None:
        room.apns.acts["phone"] = [WRONG_ENVIRONMENT] * 2
        report = await room.announce(target(ever_accepted=True))
        await settle()
        assert report.dead == ()
        assert len(room.apns.sent) == 1
        assert room.fates.died == []


class TestProtection:
    async def test_a_wrong_key_opens_the_circuit_of_its_app_and_of_no_other(
        self, room: Room
    ) -> None:
        room.apns.acts["phone"] = [WRONG_KEY]
        await room.announce()
        held_back = await room.announce(target("second"))
        assert held_back.failed[0].outcome == Unsent(Why.CIRCUIT)
        assert (await room.announce(target("third"), app="other")).accepted == 1
        gauge = 'sipis_push_circuit_open{app="app",service="apns"} 1.0'
        assert gauge in room.metrics.exposition().decode()

    async def test_the_circuit_closes_when_a_later_push_is_accepted(self, room: Room) -> None:
        room.apns.acts["phone"] = [WRONG_KEY]
        await room.announce()
        await room.clock.advance(FIRST_PAUSE)
        assert (await room.announce()).accepted == 1
        assert (await room.announce()).accepted == 1

    async def test_reloaded_keys_get_their_chance_at_once(self, room: Room) -> None:
        room.apns.acts["phone"] = [WRONG_KEY]
        await room.announce()
        room.dispatcher.reloaded("app")
        assert (await room.announce()).accepted == 1

    async def test_the_sandbox_may_be_broken_while_production_works(self, room: Room) -> None:
        room.apns.acts["dev"] = [WRONG_KEY]
        await room.announce(target("dev", environment=Environment.SANDBOX))
        assert (await room.announce(target(environment=Environment.PRODUCTION))).accepted == 1

    async def test_a_flood_of_calls_does_not_reach_the_phone(
        self, clock: ManualClock, metrics: Metrics, supervisor: Supervisor
    ) -> None:
        service = Service()
        dispatcher = Dispatcher(
            (service,), clock=clock, supervisor=supervisor, metrics=metrics,
            entropy=bytes,
        )  # fmt: skip
        reports = [await dispatcher.announce(notification(), (target(),)) for _ in range(100)]
        assert len(service.sent) == 10
        assert reports[-1].failed[0].outcome == Unsent(Why.BUDGET)

    async def test_a_stuck_app_keeps_no_other_app_waiting(self, room: Room) -> None:
        never = asyncio.Event()

        async def hang() -> PushOutcome:
            await never.wait()
            return Accepted()

        room.apns.acts["stuck"] = [hang] * 300
        stuck = [room.start(target("stuck")) for _ in range(300)]
        await settle()
        assert len(room.apns.sent) == 256
        assert (await room.announce(app="other")).accepted == 1
        never.set()
        reports = await asyncio.gather(*stuck)
        assert sum(report.accepted for report in reports) == 300


class TestRun:
    async def test_the_room_warms_its_apps_and_closes_what_it_opened(
        self, clock: ManualClock, metrics: Metrics
    ) -> None:
        service = Service()
        dispatcher = Dispatcher(
            (service,),
            clock=clock,
            supervisor=Supervisor("push", clock),
            metrics=metrics,
            entropy=bytes,
        )
        running = asyncio.create_task(dispatcher.run(("app", "other")))
        await settle()
        assert service.warmed == ["app", "other"]
        dispatcher.stop()
        await running
        assert service.closed


class TestWithApns:
    """The whole way to a server that speaks the wire."""

    @pytest.fixture
    def dispatcher(
        self, sender: Sender, clock: ManualClock, supervisor: Supervisor, metrics: Metrics
    ) -> Dispatcher:
        return Dispatcher(
            (sender.provider,), clock=clock, supervisor=supervisor, metrics=metrics,
            entropy=lambda size: bytes(range(size)),
        )  # fmt: skip

    async def test_a_push_without_answer_arrives_again_on_another_connection_within_the_ring_time(
        self, apns: Apns, dispatcher: Dispatcher, clock: ManualClock
    ) -> None:
        apns.script.add("phone", Silence())
        note = notification(deadline=clock.monotonic() + RING)
        async with asyncio.timeout(10):
            announcing = asyncio.create_task(dispatcher.announce(note, (target(),)))
            await apns.pushes.next()
            await clock.advance(3)
            second = await apns.pushes.next()
            assert (await announcing).accepted == 1
        first = apns.pushes.items[0]
        assert first.push_id == second.push_id
        assert first.payload == second.payload
        assert first.connection != second.connection

    async def test_a_dead_token_is_recognised_on_the_wire(
        self, apns: Apns, dispatcher: Dispatcher, clock: ManualClock
    ) -> None:
        apns.script.add("phone", Reply(410, "Unregistered", timestamp=1_700_000_000_000))
        note = notification(deadline=clock.monotonic() + RING)
        async with asyncio.timeout(10):
            report = await dispatcher.announce(note, (target(),))
        assert [verdict.outcome for verdict in report.dead] == [
            DeadTarget("Unregistered", 1_700_000_000.0)
        ]

    async def test_no_marker_of_name_or_text_reaches_the_wire_without_preview(
        self, apns: Apns, dispatcher: Dispatcher, clock: ManualClock
    ) -> None:
        note = notification(deadline=clock.monotonic() + RING)
        async with asyncio.timeout(10):
            await dispatcher.announce(note, (target(),))
        push = apns.pushes.items[0]
        assert set(push.payload) == {"sipis"}
        assert b"from" not in push.body
