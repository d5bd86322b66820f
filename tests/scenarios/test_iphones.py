"""Phones that Apple wakes: which token gets what, and tokens that die."""

import pytest

from sipis.world.behaviour import Reply
from sipis.world.handset import Handset, Temper
from tests.scenarios.conftest import Town, ap_token

pytestmark = pytest.mark.timeout(30)

GONE = Reply(410, "Unregistered", timestamp=4_000_000_000_000)


def pushes(town: Town, phone: Handset, kind: str) -> list[str]:
    """The events that went to a token of the phone, in order."""
    return [
        str(it.payload["sipis"]["event"])  # type: ignore[index]
        for it in town.stage.apns.pushes.items
        if it.token == ap_token(phone, kind)
    ]


async def proven(town: Town, phone: Handset) -> None:
    await town.pushed_by_apple(phone, "alert")


async def test_a_call_goes_to_the_voip_token_alone_and_all_else_to_the_alert_token(
    town: Town,
) -> None:
    phone = await town.asleep_on_iphone(temper=Temper.IGNORE)
    await proven(town, phone)
    caller = town.provider.call("alice")
    push = await town.pushed_by_apple(phone, "voip")
    assert push.headers["apns-topic"].endswith(".voip")
    assert push.headers["apns-push-type"] == "voip"
    assert push.headers["apns-expiration"] == "0"
    assert (await caller.final).status == 480
    await town.pushed_by_apple(phone, "alert")
    await town.provider.message("alice", "hello")
    await town.pushed_by_apple(phone, "alert")
    await town.provider.notify_voicemail("alice", 1)
    await town.pushed_by_apple(phone, "alert")
    assert (await phone.here("POST", "/push-test")).body == {"accepted": 1}
    assert pushes(town, phone, "voip") == ["call"]
    assert pushes(town, phone, "alert") == ["verify", "call-ended", "message", "mwi", "test"]


async def test_an_iphone_answers(town: Town) -> None:
    phone = await town.asleep_on_iphone()
    await proven(town, phone)
    caller = town.provider.call("alice")
    await town.pushed_by_apple(phone, "voip")
    assert (await caller.final).status == 200
    await (await phone.callees.next()).acknowledged.wait()
    await caller.bye()


async def test_a_voip_token_alone_gets_no_push_but_calls(town: Town) -> None:
    phone = await town.asleep_on_iphone(kinds=["voip"], temper=Temper.IGNORE)
    await phone.register()
    phone.sleep()
    await town.provider.message("alice", "hello")
    caller = town.provider.call("alice")
    await town.pushed_by_apple(phone, "voip")
    caller.cancel()
    assert (await caller.final).status == 487
    assert pushes(town, phone, "voip") == ["call"]


async def test_no_call_is_pushed_before_the_phone_has_proven_its_token(town: Town) -> None:
    phone = await town.asleep_on_iphone()
    await town.stage.apns.pushes.next()
    caller = town.provider.call("alice")
    assert (await caller.final).status == 480
    assert pushes(town, phone, "alert") == ["verify"]
    assert pushes(town, phone, "voip") == []


async def test_a_dead_alert_token_goes_and_the_phone_is_still_called(town: Town) -> None:
    phone = await town.asleep_on_iphone(temper=Temper.IGNORE)
    await proven(town, phone)
    town.stage.apns.script.always(ap_token(phone, "alert"), GONE)
    await town.provider.message("alice", "hello")
    await town.pushed_by_apple(phone, "alert")
    caller = town.provider.call("alice")
    await town.pushed_by_apple(phone, "voip")
    assert (await phone.here("GET")).status == 200
    caller.cancel()
    await caller.final


async def test_the_death_of_the_last_token_destroys_the_instance(town: Town) -> None:
    phone = await town.asleep_on_iphone(temper=Temper.IGNORE)
    await proven(town, phone)
    for kind in ("alert", "voip"):
        town.stage.apns.script.always(ap_token(phone, kind), GONE)
    caller = town.provider.call("alice")
    assert (await caller.final).status == 480
    await town.bound(0)
    assert (await phone.here("GET")).status == 404
    receipt = await phone.disable()
    assert receipt.status == 200
    assert receipt.body["reason"] == "push_gone"


async def test_a_dead_voip_token_falls_back_to_the_alert_token(town: Town) -> None:
    phone = await town.asleep_on_iphone()
    await proven(town, phone)
    town.stage.apns.script.always(ap_token(phone, "voip"), GONE)
    caller = town.provider.call("alice")
    push = await town.pushed_by_apple(phone, "alert")
    assert push.headers["apns-push-type"] == "alert"
    assert (await caller.final).status == 200
    await caller.bye()


async def test_apples_bad_moment_does_not_cost_the_call(town: Town) -> None:
    phone = await town.asleep_on_iphone()
    await proven(town, phone)
    town.stage.apns.script.add(ap_token(phone, "voip"), Reply(503, "ServiceUnavailable"))
    caller = town.provider.call("alice")
    await town.stage.apns.pushes.next()
    await town.pushed_by_apple(phone, "voip")
    assert (await caller.final).status == 200
    assert pushes(town, phone, "voip") == ["call", "call"]
    await caller.bye()


async def test_apple_down_does_not_hold_up_google(town: Town) -> None:
    iphone = await town.asleep_on_iphone("alice")
    await proven(town, iphone)
    android = await town.asleep("bob")
    await town.stage.apns.stop()
    lost = town.provider.call("alice")
    caller, _ = await town.talk(android, "bob")
    assert not lost.final.done()
    assert (await lost.final).status == 480
    await caller.bye()
