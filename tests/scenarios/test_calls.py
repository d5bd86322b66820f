"""Calls to sleeping phones, end to end inside one process: how they ring, race and end."""

import asyncio

import pytest

from sipis.world.call import ANSWER, OFFER
from sipis.world.handset import Temper
from sipis.world.stage import sipis_of
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


async def test_a_sleeping_phone_answers_and_the_caller_hangs_up(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert callee.invite.body == OFFER
    assert (await caller.final).body == ANSWER
    assert (await caller.bye()).status == 200
    await callee.ended.wait()


async def test_the_woken_phone_hangs_up(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert (await callee.bye()).status == 200
    await caller.ended.wait()


async def test_the_push_names_the_call_as_the_invite_does(town: Town) -> None:
    phone = await town.asleep()
    town.provider.call("alice")
    push = await town.pushed(phone, "call")
    callee = await phone.callees.next()
    assert callee.invite.headers.get("X-Push-Call-ID") == push["call"]
    assert not {"from", "text"} & set(push)


async def test_the_caller_hears_each_step_of_the_waking(town: Town) -> None:
    phone = await town.asleep()
    caller, _ = await town.talk(phone)
    steps = [it.headers.get("X-Sipis-Push-Status") for it in caller.responses.items]
    heard = [step for step in steps if step]
    assert heard == sorted(set(heard), key=heard.index)
    assert "Push-Notification-Sent" in heard
    assert {it.status for it in caller.responses.items} == {100, 180, 200}


async def test_nobody_reacts_and_the_caller_gets_480_with_the_reason(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    final = await caller.final
    assert final.status == 480
    assert final.headers.get("X-Sipis-Reason") == "No-Response-From-Device"
    missed = await town.pushed(phone, "call-ended")
    told = await phone.here("GET", f"/calls/{missed['call']}")
    assert told.body["state"] == "missed"


async def test_a_phone_whose_account_is_sealed_anew_while_it_rings_is_still_told(
    town: Town,
) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    town.provider.call("alice")
    await town.pushed(phone, "call")
    target = {"provider": "fcm", "kind": "token", "token": phone.push_token}
    other = {"provider": "fcm", "kind": "token", "token": phone.push_token + "-second"}
    assert (await phone.here("POST", "/refresh", {"targets": [target, other]})).status == 200
    assert (await town.pushed(phone, "call-ended"))["event"] == "call-ended"


async def test_all_pushes_fail_and_the_caller_gets_480_at_once(empty_town: Town) -> None:
    await empty_town.serve(policy={"react_timeout": 15})
    await empty_town.asleep()
    await empty_town.stage.fcm.stop()
    caller = empty_town.provider.call("alice")
    async with asyncio.timeout(14):
        assert (await caller.final).status == 480


@pytest.mark.parametrize("temper", [Temper.DECLINE, Temper.DECLINE_OVER_HTTP])
async def test_a_declined_call_is_busy_for_the_caller(town: Town, temper: Temper) -> None:
    phone = await town.asleep(temper=temper)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    assert (await caller.final).status == 486


async def test_a_caller_who_gives_up_before_the_phone_wakes_is_told_to_late_wakers(
    town: Town,
) -> None:
    phone = await town.asleep()
    caller = town.provider.call("alice")
    message = await town.stage.fcm.pushes.next()
    await caller.until(180)
    caller.cancel()
    assert (await caller.final).status == 487
    call = sipis_of(message.data)["call"]
    assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "cancelled"
    answer = await phone.register()
    assert answer.status == 200
    assert phone.callees.items == []


async def test_a_caller_who_gives_up_while_it_rings_stops_the_ringing(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    caller.cancel("SIP;cause=200;text=elsewhere")
    assert (await caller.final).status == 487
    await callee.cancelled.wait()
    assert "cause=200" in (callee.requests.items[-1].headers.get("Reason") or "")
    call = callee.invite.headers.get("X-Push-Call-ID")
    assert (await phone.here("GET", f"/calls/{call}")).body["state"] == "elsewhere"


async def test_a_ringing_phone_that_never_answers_ends_in_480(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    assert (await caller.final).status == 480
    await callee.cancelled.wait()


async def test_an_answer_over_http_gives_the_phone_more_time(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    call = callee.invite.headers.get("X-Push-Call-ID")
    accepted = await phone.here("POST", f"/calls/{call}/accept")
    assert accepted.status == 200
    callee.answer()
    assert (await caller.final).status == 200


async def test_requests_inside_the_call_pass_both_ways(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert (await caller.ask("INFO", b"Signal=5", kind="application/dtmf-relay")).status == 200
    assert callee.requests.items[-1].body == b"Signal=5"
    renewed = await callee.ask("INVITE", OFFER)
    assert renewed.status == 200
    assert renewed.body == ANSWER
    assert (await caller.ask("INVITE", OFFER)).body == ANSWER
    await caller.bye()


async def test_two_phones_ring_the_first_answer_wins_and_the_other_learns_elsewhere(
    town: Town,
) -> None:
    first = await town.asleep()
    second = await town.asleep(temper=Temper.RING)
    bindings = town.provider.registrar.bindings("alice")
    assert len(bindings) == 2
    to_first = town.provider.call("alice", binding=bindings[0])
    to_second = town.provider.call("alice", binding=bindings[1])
    await asyncio.gather(town.pushed(second, "call"))
    ringing = await second.callees.next()
    await first.register()
    assert (await to_first.final).status == 200
    to_second.cancel('SIP;cause=200;text="Call completed elsewhere"')
    assert (await to_second.final).status == 487
    await ringing.cancelled.wait()
    call = ringing.invite.headers.get("X-Push-Call-ID")
    assert (await second.here("GET", f"/calls/{call}")).body["state"] == "elsewhere"


async def test_a_connected_app_gets_the_call_over_its_flow_without_a_push(town: Town) -> None:
    phone = await town.asleep()
    await phone.register()
    pushes = len(town.stage.fcm.pushes.items)
    caller = town.provider.call("alice")
    callee = await phone.callees.next()
    assert (await caller.final).status == 200
    await callee.acknowledged.wait()
    assert len(town.stage.fcm.pushes.items) == pushes


async def test_a_second_call_is_a_call_of_its_own(town: Town) -> None:
    phone = await town.asleep()
    first, _ = await town.talk(phone)
    second = town.provider.call("alice")
    await phone.callees.next()
    assert (await second.final).status == 200
    assert (await first.bye()).status == 200
    assert (await second.bye()).status == 200


async def test_a_call_that_requires_100rel_is_refused_with_420(town: Town) -> None:
    await town.asleep()
    caller = town.provider.call("alice", headers=[("Require", "100rel")])
    final = await caller.final
    assert final.status == 420
    assert final.headers.get("Unsupported") == "100rel"


async def test_a_late_offer_is_passed_on(town: Town) -> None:
    phone = await town.asleep()
    caller = town.provider.call("alice", body=b"")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    assert callee.invite.body == b""
    assert (await caller.final).body == ANSWER
