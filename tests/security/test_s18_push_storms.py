"""S18: a storm of calls wakes a phone ten times a minute at most; pushes hold ids and no more."""

import json

import pytest

from sipis.world.handset import Handset, Temper
from sipis.world.stage import sipis_of
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(60)

STORM = 1_000
BUDGET = 10


def pushed(town: Town, phone: Handset, event: str) -> int:
    return sum(
        message.target == phone.push_token and sipis_of(message.data)["event"] == event
        for message in town.stage.fcm.pushes.items
    )


async def test_a_thousand_calls_in_a_minute_wake_a_phone_ten_times_and_others_ring(
    town: Town,
) -> None:
    victim = await town.asleep("alice", temper=Temper.IGNORE)
    other = await town.asleep("bob")
    finals = []
    for _ in range(STORM // 50):
        storm = [town.provider.call("alice") for _ in range(50)]
        for caller in storm:
            caller.cancel()
        finals += [(await caller.final).status for caller in storm]
    caller, _ = await town.talk(other, "bob")
    assert (await caller.bye()).status == 200
    assert len(finals) == STORM
    assert set(finals) <= {480, 486, 487}
    assert 0 < pushed(town, victim, "call") <= BUDGET
    assert pushed(town, victim, "call-ended") <= BUDGET


async def test_voicemail_that_counts_up_wakes_a_phone_now_and_then(town: Town) -> None:
    phone = await town.asleep("alice", temper=Temper.IGNORE)
    for waiting in range(1, 200):
        await town.provider.notify_voicemail("alice", waiting)
    assert pushed(town, phone, "mwi") <= BUDGET


async def test_a_push_holds_ids_alone_unless_the_app_asked_for_more(town: Town) -> None:
    phone = await town.asleep("alice", temper=Temper.IGNORE)
    secretive = ("Marker-Caller", "+491701234567", "marker-text", "provider.example", "alice",
                 "127.0.0.1", "sip:")  # fmt: skip
    call = town.provider.call("alice", caller="+491701234567", name="Marker-Caller")
    await town.pushed(phone, "call")
    call.cancel("SIP;cause=487;text=marker-text")
    await call.final
    await town.pushed(phone, "call-ended")
    await town.provider.message("alice", "marker-text", caller="+491701234567")
    await town.pushed(phone, "message")
    await town.provider.notify_voicemail("alice", 7)
    await town.pushed(phone, "mwi")
    for message in town.stage.fcm.pushes.items:
        whole = json.dumps(message.data, default=str)
        assert not [marker for marker in secretive if marker in whole]
