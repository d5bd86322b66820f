"""ApnsProvider against a server that has every bad day that aioapns is known to suffer from."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from sipis.clock import ManualClock
from sipis.model import Environment, PushEvent
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.push.apns import ApnsProvider
from sipis.push.outcome import (
    CONNECT,
    DEADLINE,
    LOST,
    NO_ACCOUNT,
    UNKNOWN,
    Accepted,
    Ambiguous,
    DeadTarget,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.world.apns import Apns, ApnsMischief
from sipis.world.behaviour import BAD_GATEWAY, UNAVAILABLE, Farewell, Reply, Reset, Silence
from sipis.world.chaos import Chaos
from sipis.world.silent import SilentDoor
from sipis.world.tls import ThrowawayCa
from tests.support.push import Sender, ec_signer, eventually, notification, settle, travel

Bounded = Callable[[], asyncio.Timeout]
MINUTE = 60
ID = "00000000-0000-4000-8000-00000000000a"
BAD_TOKEN = DeadTarget("BadDeviceToken", other_environment=True)
BAD_KEY = Misconfigured("InvalidProviderToken", stale_token=True)


async def together(sends: Sequence[Awaitable[PushOutcome]]) -> list[PushOutcome]:
    return list(await asyncio.gather(*sends))


async def after_arrival(
    apns: Apns, number: int, sends: list[Awaitable[PushOutcome]]
) -> list[asyncio.Task[PushOutcome]]:
    """Start the sends and return their tasks once the server has that many pushes."""
    tasks = [asyncio.ensure_future(send) for send in sends]
    await apns.pushes.count(number)
    return tasks


class TestRequest:
    async def test_a_call_goes_to_the_voip_topic_for_one_try(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        async with bounded():
            outcome = await sender.send("phone")
            push = await apns.pushes.next()
        assert outcome == Accepted()
        assert push.token == "phone"
        assert push.headers["apns-topic"] == "org.example.app.voip"
        assert push.headers["apns-push-type"] == "voip"
        assert push.headers["apns-priority"] == "10"
        assert push.headers["apns-expiration"] == "0"
        assert push.payload == {"sipis": {"v": 1, "event": "call", "instance": "0" * 32}}

    async def test_the_authority_is_sent_as_a_pseudo_header_and_host_is_not(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
        headers = apns.pushes.items[0].headers
        assert headers[":authority"] == "localhost"
        assert "host" not in headers

    @pytest.mark.parametrize("event", [each for each in PushEvent if each is not PushEvent.CALL])
    async def test_every_other_event_keeps_apples_rules_on_the_alert_topic(
        self, apns: Apns, sender: Sender, bounded: Bounded, event: PushEvent
    ) -> None:
        async with bounded():
            outcome = await sender.send(event=event)
        assert outcome == Accepted()
        assert apns.pushes.items[0].headers["apns-topic"] == "org.example.app"

    async def test_a_token_with_odd_characters_stays_one_path_segment(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        async with bounded():
            outcome = await sender.send("a/b?c d\r\nx: y")
        assert apns.pushes.items[0].token == "a%2Fb%3Fc%20d%0D%0Ax%3A%20y"
        assert outcome == BAD_TOKEN

    async def test_a_payload_beyond_the_limit_is_never_sent(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        big = replace(notification(), payload={"sealed": "x" * 5200})
        async with bounded():
            assert await sender.send(note=big) == TooLarge("PayloadTooLarge")
        assert apns.pushes.items == []

    async def test_an_app_without_an_account_is_misconfigured(self, sender: Sender) -> None:
        assert await sender.send(app="stranger") == Misconfigured(NO_ACCOUNT)


class TestSilence:
    async def test_one_push_never_answered_ends_at_its_deadline_while_others_flow(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        apns.script.add("lost", Silence())
        async with bounded():
            (lost,) = await after_arrival(apns, 1, [sender.send("lost", within=5)])
            for _ in range(4):
                assert await sender.send("fine", within=5) == Accepted()
                await clock.advance(1)
            assert not lost.done()
            await clock.advance(1)
            assert await lost == Ambiguous(DEADLINE)

    async def test_the_push_after_an_unanswered_one_takes_another_connection(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        apns.script.add("lost", Silence())
        async with bounded():
            (lost,) = await after_arrival(apns, 1, [sender.send("lost", push_id=ID)])
            await clock.advance(5)
            await lost
            assert await sender.send("lost", push_id=ID) == Accepted()
        first, second = apns.pushes.items
        assert first.push_id == second.push_id == ID
        assert first.connection != second.connection

    async def test_a_server_gone_silent_is_pinged_and_left_after_six_seconds(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            apns.mute = True
            (lost,) = await after_arrival(apns, 2, [sender.send(within=30)])
            await clock.advance(3)
            await pinged(apns)
            await clock.advance(3)
            assert await lost == Ambiguous(LOST)

    async def test_a_quiet_connection_is_kept_alive_by_one_ping_a_minute(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            await travel(clock, 2 * MINUTE)
            await pinged(apns)
            assert await sender.send() == Accepted()
        assert apns.opened == 1

    async def test_tcp_without_tls_fails_at_the_deadline_and_holds_nobody_up(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded(), SilentDoor() as door:
            account = sender.accounts["app"]
            servers = dict.fromkeys(Environment, ("localhost", door.port))
            sender.accounts["other"] = replace(account, team_id="OTHER", servers=servers)
            stuck = asyncio.ensure_future(sender.send(app="other", within=2))
            await door.visited.wait()
            assert await sender.send() == Accepted()
            await clock.advance(2)
            assert await stuck == Retry(CONNECT)
            await clock.advance(5)
        assert apns.opened == 1

    async def test_a_refused_connection_is_a_retry(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        await apns.stop()
        async with bounded():
            assert await sender.send() == Retry(CONNECT)

    async def test_a_server_that_does_not_offer_http2_is_left(
        self, apns: Apns, sender: Sender, ca: ThrowawayCa, bounded: Bounded
    ) -> None:
        await apns.stop()
        loop = asyncio.get_running_loop()
        context = ca.server_context()
        async with await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context) as http1:
            port = http1.sockets[0].getsockname()[1]
            servers = dict.fromkeys(Environment, ("localhost", port))
            sender.accounts["app"] = replace(sender.accounts["app"], servers=servers)
            async with bounded():
                assert await sender.send() == Retry(CONNECT)


async def pinged(apns: Apns) -> None:
    await eventually(lambda: any(connection.pings for connection in apns.connections))


class TestCancellation:
    async def test_a_caller_that_gives_up_disturbs_nobody(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.hold()
        async with bounded():
            tasks = await after_arrival(apns, 20, [sender.send() for _ in range(20)])
            tasks[3].cancel()
            await asyncio.sleep(0)
            apns.release()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in outcomes if each != Accepted()] == [outcomes[3]]
        assert isinstance(outcomes[3], asyncio.CancelledError)
        assert len(apns.pushes.items) == 20

    async def test_a_cancelled_push_and_a_reset_connection_leave_none_hanging(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.hold()
        async with bounded():
            tasks = await after_arrival(apns, 21, [sender.send() for _ in range(21)])
            tasks.pop().cancel()
            apns.hang_up()
            assert await asyncio.gather(*tasks) == [Ambiguous(LOST)] * 20


class TestStreams:
    async def test_a_refused_stream_is_sent_again_at_once(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.script.add("phone", Reset())
        async with bounded():
            assert await sender.send("phone") == Accepted()
        assert len({push.push_id for push in apns.pushes.items}) == 1
        assert len(apns.pushes.items) == 2

    async def test_any_other_reset_is_ambiguous(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.script.add("phone", Reset(2))
        async with bounded():
            assert isinstance(await sender.send("phone"), Ambiguous)
        assert len(apns.pushes.items) == 1

    async def test_a_raised_stream_limit_is_used_at_once(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.max_streams = 1
        apns.streams_after_first = 1000
        async with bounded():
            assert await sender.send() == Accepted()
            apns.hold()
            tasks = await after_arrival(apns, 101, [sender.send() for _ in range(100)])
            apns.release()
            assert await asyncio.gather(*tasks) == [Accepted()] * 100

    async def test_no_more_streams_are_opened_than_the_peer_allows(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.max_streams = 3
        apns.hold()
        async with bounded():
            tasks = await after_arrival(apns, 3, [sender.send() for _ in range(10)])
            await settle()
            assert len(apns.pushes.items) == 3
            apns.release()
            assert await asyncio.gather(*tasks) == [Accepted()] * 10

    async def test_a_limit_that_falls_and_rises_under_load_loses_nothing(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            apns.hold()
            tasks = await after_arrival(apns, 151, [sender.send() for _ in range(150)])
            apns.limit_streams(1)
            more = [asyncio.ensure_future(sender.send()) for _ in range(150)]
            apns.release()
            await apns.pushes.count(160)
            apns.limit_streams(1000)
            assert await asyncio.gather(*tasks, *more) == [Accepted()] * 300
        assert len(apns.pushes.items) == 301

    async def test_waiting_pushes_go_in_order_of_arrival(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.max_streams = 1
        async with bounded():
            await together([sender.send(f"t{number}") for number in range(20)])
        assert [push.token for push in apns.pushes.items] == [f"t{n}" for n in range(20)]

    async def test_large_payloads_beyond_the_connection_window_all_arrive(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        note = replace(notification(), payload={"sealed": "x" * 3900})
        async with bounded():
            outcomes = await together([sender.send(note=note) for _ in range(200)])
        assert outcomes == [Accepted()] * 200

    async def test_a_tiny_stream_window_only_slows_a_push_down(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.initial_window = 100
        note = replace(notification(), payload={"sealed": "x" * 1000})
        async with bounded():
            outcomes = await together([sender.send(note=note) for _ in range(5)])
        assert outcomes == [Accepted()] * 5
        assert len(apns.pushes.items[0].body) > 1000

    async def test_a_window_that_never_opens_ends_at_the_deadline(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        apns.initial_window, apns.opens_windows = 10, False
        async with bounded():
            stuck = asyncio.ensure_future(sender.send(within=5))
            await eventually(lambda: bool(apns.connections))
            await settle()
            await clock.advance(5)
            assert await stuck == Ambiguous(DEADLINE)

    async def test_the_same_push_id_twice_in_flight_gets_two_answers(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.hold()
        async with bounded():
            tasks = await after_arrival(apns, 2, [sender.send(push_id=ID) for _ in range(2)])
            apns.release()
            assert await asyncio.gather(*tasks) == [Accepted(), Accepted()]


class TestGoaway:
    async def test_a_graceful_goaway_loses_and_doubles_nothing(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.hold()
        async with bounded():
            tasks = await after_arrival(apns, 10, [sender.send() for _ in range(10)])
            apns.goaway()
            after = asyncio.ensure_future(sender.send("after"))
            await apns.pushes.count(11)
            apns.release()
            assert await asyncio.gather(*tasks, after) == [Accepted()] * 11
        assert len(apns.pushes.items) == 11

    async def test_pushes_that_race_a_goaway_all_get_through(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.script.add("leaver", *[Farewell()] * 3)
        async with bounded():
            for _ in range(3):
                sends = [sender.send("leaver"), *[sender.send() for _ in range(60)]]
                assert await together(sends) == [Accepted()] * 61

    async def test_streams_above_the_last_one_are_sent_again_and_the_others_are_not(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.hold()
        async with bounded():
            tasks = await after_arrival(apns, 4, [sender.send(f"t{n}") for n in range(4)])
            apns.goaway(last=3)
            await apns.pushes.count(6)
            apns.release()
            assert await asyncio.gather(*tasks) == [Accepted()] * 4
        assert sorted(push.token for push in apns.pushes.items[4:]) == ["t2", "t3"]

    async def test_a_goaway_that_hangs_up_leaves_the_open_pushes_ambiguous(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.script.add("phone", Farewell(graceful=False))
        async with bounded():
            assert await sender.send("phone") == Ambiguous(LOST)
            assert await sender.send("phone") == Accepted()

    async def test_the_next_connection_is_open_before_a_push_needs_it(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            apns.goaway()
            await eventually(lambda: apns.opened == 2)


class TestAnswers:
    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (UNAVAILABLE, Retry(UNKNOWN)),
            (Reply(403, "InvalidProviderToken", with_id=False), BAD_KEY),
            (BAD_GATEWAY, Retry(UNKNOWN)),
            (Reply(400, "BadDeviceToken", chunk=3), BAD_TOKEN),
            (Reply(410, "Unregistered", 1_700_000_000_500),
             DeadTarget("Unregistered", 1_700_000_000.5)),
            (Reply(410, "Unregistered", 1_500), DeadTarget("Unregistered")),
            (Reply(410, "Unregistered", 99_999_999_999_999), DeadTarget("Unregistered")),
            (Reply(410, body=b'{"reason":"Unregistered","timestamp":NaN}'),
             DeadTarget("Unregistered")),
            (Reply(410, "Unregistered", body=b'{"reason":"Unregistered","timestamp":"x"}'),
             DeadTarget("Unregistered")),
            (Reply(500, "InternalServerError", body=b"[1]"), Retry(UNKNOWN, fresh_connection=True)),
        ],
    )  # fmt: skip
    async def test_an_odd_answer_is_read_for_what_it_is_on_the_same_connection(
        self, apns: Apns, sender: Sender, bounded: Bounded, reply: Reply, outcome: PushOutcome
    ) -> None:
        apns.script.add("phone", reply)
        async with bounded():
            assert await sender.send("phone") == outcome
            assert await sender.send("phone") == Accepted()
        assert len(apns.pushes.items) == 2

    async def test_an_internal_error_is_tried_again_on_a_fresh_connection(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.script.add("phone", Reply(500, "InternalServerError"))
        async with bounded():
            await sender.send("phone")
            await sender.send("phone")
        first, second = apns.pushes.items
        assert first.connection != second.connection

    async def test_nothing_is_left_behind_by_a_thousand_pushes(
        self, apns: Apns, sender: Sender, bounded: Bounded, metrics: Metrics
    ) -> None:
        async with bounded():
            for _ in range(10):
                await together([sender.send() for _ in range(100)])
        assert apns.opened == 1
        assert b"sipis_apns_connections 1.0" in metrics.exposition()


class TestProviderToken:
    async def test_one_connection_and_one_token_serve_slow_traffic(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            for _ in range(5):
                assert await sender.send() == Accepted()
                await clock.advance(11)
        assert apns.opened == 1
        assert len(apns.tokens.seen) == 1

    async def test_the_token_is_renewed_after_three_quarters_of_an_hour(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            clock.jump(44 * MINUTE)
            await sender.send()
            assert len(apns.tokens.seen) == 1
            await travel(clock, 45 * MINUTE)
            assert await sender.send() == Accepted()
        assert len(apns.tokens.seen) == 2

    async def test_an_expired_token_is_replaced_once_it_is_old_enough(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            await travel(clock, 25 * MINUTE)
            apns.script.add("phone", Reply(403, "ExpiredProviderToken"))
            outcome = await sender.send("phone")
            assert isinstance(outcome, Retry)
            assert outcome.stale_token
            assert await sender.send("phone") == Accepted()
        assert len(apns.tokens.seen) == 2

    async def test_a_young_token_called_expired_is_no_reason_to_mint_another(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        apns.script.add("phone", Reply(403, "ExpiredProviderToken"))
        async with bounded():
            assert await sender.send("phone") == Misconfigured(
                "ExpiredProviderToken", stale_token=True
            )
            await sender.send()
        assert len(apns.tokens.seen) == 1

    async def test_a_key_file_replaced_under_the_same_name_gets_its_token_when_apple_allows(
        self, apns: Apns, sender: Sender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            await travel(clock, 25 * MINUTE)
            apns.script.add("phone", Reply(403, "InvalidProviderToken"))
            assert await sender.send("phone") == BAD_KEY
            assert await sender.send("phone") == Accepted()
        assert len(apns.tokens.seen) == 2

    async def test_two_apps_of_one_team_share_token_and_connection(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        sender.accounts["second"] = replace(sender.accounts["app"], topic="org.example.second")
        async with bounded():
            await together([sender.send(), sender.send(app="second")])
        assert apns.opened == 1
        assert len(apns.tokens.seen) == 1

    async def test_another_team_gets_a_connection_of_its_own(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        signer = ec_signer(apns.new_key("OTHERTEAM1", "OTHERKEY01"))
        account = replace(sender.accounts["app"], team_id="OTHERTEAM1", signer=signer)
        sender.accounts["other"] = account
        async with bounded():
            assert await together([sender.send(), sender.send(app="other")]) == [Accepted()] * 2
        assert apns.opened == 2

    async def test_a_replaced_key_serves_the_next_push_on_a_new_connection(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        async with bounded():
            await sender.send()
            signer = ec_signer(apns.new_key(key_id="WORLDKEY02"))
            sender.accounts["app"] = replace(sender.accounts["app"], signer=signer)
            assert await sender.send() == Accepted()
            await eventually(lambda: len(apns.connections) == 1)
        first, second = apns.pushes.items
        assert first.connection != second.connection
        assert first.headers["authorization"] != second.headers["authorization"]


class TestEnvironments:
    async def test_sandbox_and_production_are_different_servers(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        servers = {
            Environment.PRODUCTION: ("localhost", apns.port),
            Environment.SANDBOX: ("127.0.0.1", apns.port),
        }
        sender.accounts["app"] = replace(sender.accounts["app"], servers=servers)
        async with bounded():
            for environment in Environment:
                assert await sender.send(environment=environment) == Accepted()
        authorities = [push.headers[":authority"] for push in apns.pushes.items]
        assert authorities == ["localhost", "127.0.0.1"]

    async def test_a_warm_line_is_connected_before_the_first_push(
        self, apns: Apns, sender: Sender, bounded: Bounded
    ) -> None:
        sender.provider.warm("app")
        async with bounded():
            await eventually(lambda: bool(apns.connections))
            await sender.send()
        assert apns.opened == 1


class TestChaos:
    @pytest.mark.parametrize("seed", range(5))
    async def test_every_push_ends_whatever_the_dice_say(
        self,
        apns: Apns,
        sender: Sender,
        clock: ManualClock,
        bounded: Bounded,
        seed: int,
    ) -> None:
        apns._chaos = Chaos(seed, dict.fromkeys(ApnsMischief, 0.04))
        ids = [str(uuid.UUID(int=number)) for number in range(200)]
        async with bounded():
            sends = [asyncio.ensure_future(sender.send(within=5, push_id=each)) for each in ids]
            while not all(send.done() for send in sends):
                await settle(20)
                await clock.advance(0.1)
        outcomes = {each: send.result() for each, send in zip(ids, sends, strict=True)}
        accepted = {each for each, outcome in outcomes.items() if outcome == Accepted()}
        assert accepted
        assert accepted <= {push.push_id for push in apns.pushes.items}
        assert {type(each) for each in outcomes.values()} <= {Accepted, Ambiguous, Retry}


async def test_a_room_that_has_stopped_answers_with_a_retry(
    apns: Apns, sender: Sender, supervisor: Supervisor, metrics: Metrics, clock: ManualClock
) -> None:
    stopped = Supervisor("push", clock)
    provider = ApnsProvider(sender.accounts.get, clock=clock, spawner=stopped, metrics=metrics)
    assert await replace(sender, provider=provider).send() == Retry(CONNECT)
    assert apns.opened == 0
    del supervisor
