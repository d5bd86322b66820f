"""FcmProvider against a server that refuses what Google refuses and has Google's bad days."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.model import PushEvent, TargetKind
from sipis.push.outcome import (
    CONNECT,
    DEADLINE,
    LOST,
    NO_ACCOUNT,
    OAUTH,
    Accepted,
    Ambiguous,
    DeadTarget,
    Faulty,
    Misconfigured,
    PushOutcome,
    Retry,
    TooLarge,
)
from sipis.world.behaviour import BAD_GATEWAY, UNAVAILABLE, Reply, Reset, Silence
from sipis.world.chaos import Chaos
from sipis.world.fcm import Fcm, FcmMischief, error_body
from tests.support.push import FcmSender, eventually, notification, rsa_signer, settle

Bounded = Callable[[], asyncio.Timeout]
HOUR = 3600
EVERYBODY = "*"


class TestMessage:
    async def test_a_call_is_data_of_strings_with_high_priority_and_no_lifetime(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        async with bounded():
            assert await fcm_sender.send("phone") == Accepted()
            push = await fcm.pushes.next()
        assert push.target == "phone"
        assert push.android == {"priority": "high", "ttl": "0s"}
        assert json.loads(push.data["sipis"])["event"] == "call"
        assert "notification" not in push.message

    async def test_a_call_never_carries_a_collapse_key(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        note = replace(notification(), collapse="same")
        async with bounded():
            await fcm_sender.send(note=note)
        assert "collapse_key" not in fcm.pushes.items[0].android

    async def test_housekeeping_goes_with_normal_priority_and_urgent_messages_with_high(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        urgent = replace(notification(PushEvent.MESSAGE), urgent=True, collapse="talk")
        async with bounded():
            await fcm_sender.send(event=PushEvent.EXPIRING)
            await fcm_sender.send(note=urgent)
        housekeeping, message = fcm.pushes.items
        assert housekeeping.android == {"priority": "normal", "ttl": "43200s"}
        assert message.android["priority"] == "high"
        assert message.android["collapse_key"] == "talk"

    @pytest.mark.parametrize("kind", [TargetKind.TOKEN, TargetKind.FID])
    async def test_tokens_and_fids_go_into_their_own_field(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded, kind: TargetKind
    ) -> None:
        async with bounded():
            assert await fcm_sender.send("phone", kind=kind) == Accepted()
        assert fcm.pushes.items[0].message[kind.value] == "phone"

    async def test_data_beyond_the_limit_is_never_sent(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        note = replace(notification(), payload={"sealed": "x" * 4090})
        async with bounded():
            assert await fcm_sender.send(note=note) == TooLarge("INVALID_ARGUMENT")
        assert fcm.pushes.items == []

    async def test_an_app_without_an_account_is_misconfigured(self, fcm_sender: FcmSender) -> None:
        assert await fcm_sender.send(app="stranger") == Misconfigured(NO_ACCOUNT)


class TestAnswers:
    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (Reply(404, "UNREGISTERED"), DeadTarget("UNREGISTERED")),
            (Reply(404, "NOT_FOUND"), Misconfigured("NOT_FOUND")),
            (Reply(404, body=b"<html>Not Found</html>"), Misconfigured("NOT_FOUND")),
            (Reply(403, "SENDER_ID_MISMATCH"), DeadTarget("SENDER_ID_MISMATCH")),
            (Reply(403, "PERMISSION_DENIED"), Misconfigured("PERMISSION_DENIED")),
            (Reply(429, "QUOTA_EXCEEDED"), Retry("QUOTA_EXCEEDED", after=60)),
            (Reply(429, "QUOTA_EXCEEDED", headers=(("Retry-After", "2"),)),
             Retry("QUOTA_EXCEEDED", after=2)),
            (UNAVAILABLE, Retry("UNAVAILABLE")),
            (BAD_GATEWAY, Retry("UNAVAILABLE")),
            (Reset(), Ambiguous(LOST)),
        ],
    )  # fmt: skip
    async def test_an_answer_is_read_for_what_it_is(
        self,
        fcm: Fcm,
        fcm_sender: FcmSender,
        bounded: Bounded,
        reply: Reply,
        outcome: PushOutcome,
    ) -> None:
        fcm.script.add("phone", reply)
        async with bounded():
            got = await fcm_sender.send("phone")
        if reply == UNAVAILABLE:
            assert isinstance(got, Retry)
        else:
            assert got == outcome

    async def test_an_invalid_argument_kills_a_target_only_when_the_payload_is_known_good(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        fcm.script.always("phone", Reply(400, "INVALID_ARGUMENT"))
        async with bounded():
            assert await fcm_sender.send("phone") == Faulty("INVALID_ARGUMENT")
            assert await fcm_sender.send("other") == Accepted()
            assert await fcm_sender.send("phone") == DeadTarget("INVALID_ARGUMENT")

    async def test_a_violation_that_names_the_token_kills_the_target(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        body = error_body(400, "INVALID_ARGUMENT", field="message.token")
        fcm.script.add("phone", Reply(400, body=body))
        async with bounded():
            assert await fcm_sender.send("phone") == DeadTarget("INVALID_ARGUMENT")

    async def test_a_server_that_is_down_is_a_retry(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            await fcm.stop()
            assert await fcm_sender.send() in {Retry(CONNECT), Ambiguous(LOST)}
            assert await fcm_sender.send() == Retry(CONNECT)

    async def test_a_silent_server_is_ambiguous_at_the_deadline(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        fcm.script.add("phone", Silence())
        async with bounded():
            lost = asyncio.ensure_future(fcm_sender.send("phone", within=3))
            await fcm.pushes.next()
            await clock.advance(3)
            assert await lost == Ambiguous(DEADLINE)


class TestAccessToken:
    async def test_many_first_pushes_share_one_fetch(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        async with bounded():
            outcomes = await asyncio.gather(*[fcm_sender.send() for _ in range(50)])
        assert outcomes == [Accepted()] * 50
        assert len(fcm.assertions.items) == 1

    async def test_the_token_is_refreshed_in_the_background_at_three_quarters_of_its_life(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            await clock.advance(0.74 * HOUR)
            assert len(fcm.assertions.items) == 1
            await clock.advance(0.02 * HOUR)
            await fcm.assertions.count(2)

    async def test_the_old_token_serves_while_the_token_server_is_down(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            fcm.oauth.always(EVERYBODY, Reply(503, body=b""))
            await clock.advance(0.8 * HOUR)
            await fcm.assertions.count(2)
            assert await fcm_sender.send() == Accepted()
            await clock.advance(0.19 * HOUR)
            assert await fcm_sender.send() == Accepted()
            assert {push.access_token for push in fcm.pushes.items} == {"ya29.1"}

    async def test_a_slow_token_server_does_not_hold_up_pushes(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            fcm.oauth.add(EVERYBODY, Silence())
            await clock.advance(0.76 * HOUR)
            await fcm.assertions.count(2)
            assert await fcm_sender.send() == Accepted()

    async def test_without_any_token_a_push_waits_no_longer_than_its_deadline(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        fcm.oauth.always(EVERYBODY, Silence())
        async with bounded():
            waiting = asyncio.ensure_future(fcm_sender.send(within=3))
            await fcm.assertions.count(1)
            await clock.advance(3)
            assert await waiting == Retry(OAUTH)

    async def test_failed_fetches_back_off_and_recover(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        fcm.oauth.add(EVERYBODY, *[Reply(503, body=b"")] * 3)
        async with bounded():
            assert await fcm_sender.send() == Retry(OAUTH)
            for pause in (1, 2, 4):
                await settle()
                before = len(fcm.assertions.items)
                await clock.advance(pause / 2)
                assert len(fcm.assertions.items) == before
                await clock.advance(pause / 2 + 0.1)
                await fcm.assertions.count(before + 1)
            assert await fcm_sender.send() == Accepted()

    async def test_a_refused_assertion_means_a_revoked_key(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        fcm.oauth.always(EVERYBODY, Reply(400, body=b'{"error":"invalid_grant"}'))
        async with bounded():
            assert await fcm_sender.send() == Misconfigured("invalid_grant")

    async def test_a_refused_access_token_is_replaced_once(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            await clock.advance(60)
            fcm.revoke_tokens()
            refused = await fcm_sender.send()
            assert isinstance(refused, Retry)
            assert refused.stale_token
            assert await fcm_sender.send() == Accepted()
        assert len(fcm.assertions.items) == 2

    async def test_a_fresh_token_that_is_refused_fetches_no_other(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            fcm.revoke_tokens()
            for _ in range(5):
                assert isinstance(await fcm_sender.send(), Retry)
        assert len(fcm.assertions.items) == 1

    async def test_a_replaced_account_serves_the_next_push(
        self, fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded
    ) -> None:
        async with bounded():
            await fcm_sender.send()
            key = fcm.new_key("second-project")
            fcm_sender.accounts["app"] = replace(
                fcm_sender.accounts["app"], project_id="second-project", signer=rsa_signer(key)
            )
            assert await fcm_sender.send() == Accepted()
            await clock.advance(30)
        assert len(fcm.assertions.items) == 2

    async def test_warming_fetches_the_token_before_the_first_push(
        self, fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
    ) -> None:
        fcm_sender.provider.warm("app")
        async with bounded():
            await fcm.assertions.count(1)


@pytest.mark.parametrize("seed", range(3))
async def test_every_push_ends_whatever_the_dice_say(
    fcm: Fcm, fcm_sender: FcmSender, clock: ManualClock, bounded: Bounded, seed: int
) -> None:
    fcm._chaos = Chaos(seed, dict.fromkeys(FcmMischief, 0.1))
    async with bounded():
        sends = [asyncio.ensure_future(fcm_sender.send(within=5)) for _ in range(100)]
        await eventually(lambda: len(fcm.pushes.items) == 100)
        while not all(send.done() for send in sends):
            await settle(20)
            await clock.advance(0.5)
    outcomes = [send.result() for send in sends]
    assert Accepted() in outcomes
    assert {type(each) for each in outcomes} <= {Accepted, Ambiguous, Retry}


async def test_a_server_with_an_unknown_root_is_a_retry(
    fcm: Fcm, fcm_sender: FcmSender, bounded: Bounded
) -> None:
    account = fcm_sender.accounts["app"]
    fcm_sender.accounts["app"] = replace(account, ca_file=None)
    async with bounded():
        assert await fcm_sender.send() == Retry(OAUTH)
    assert fcm.assertions.items == []
    assert isinstance(account.ca_file, Path)
