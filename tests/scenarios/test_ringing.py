"""How a call rings, by the operator's choice, and what a push says of the caller."""

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sipis.world.call import Caller
from sipis.world.handset import Temper
from tests.scenarios.conftest import APP, Town

pytestmark = pytest.mark.timeout(30)

STATUS = "X-Sipis-Push-Status"


def heard(caller: Caller) -> list[tuple[int, str | None]]:
    return [(it.status, it.headers.get(STATUS)) for it in caller.responses.items]


async def test_ringing_from_the_start(empty_town: Town) -> None:
    town = empty_town
    await town.serve(policy={"ring": "now"})
    phone = await town.asleep()
    town.stage.fcm.hold()
    caller = town.provider.call("alice")
    first = await caller.until(180)
    assert first.headers.get(STATUS) == "Alerting-Device"
    assert first.body == b""
    town.stage.fcm.release()
    await town.pushed(phone, "call")
    assert (await caller.final).status == 200
    await caller.bye()


async def test_ringing_only_when_a_device_stirs(empty_town: Town) -> None:
    town = empty_town
    await town.serve(apps={APP: {"ring": "device"}})
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    assert (await caller.until(180)).headers.get(STATUS) == "Device-Making-Progress"
    caller.cancel()
    await caller.final


async def test_a_providers_word_goes_before_the_apps(empty_town: Town) -> None:
    town = empty_town
    await town.serve(
        apps={APP: {"decline_status": 600, "no_answer_status": 408}},
        providers={"127.0.0.1": {"decline_status": 603, "no_answer_status": 404}},
    )
    phone = await town.asleep(temper=Temper.DECLINE)
    declined = town.provider.call("alice")
    await town.pushed(phone, "call")
    assert (await declined.final).status == 603
    phone.temper = Temper.IGNORE
    missed = town.provider.call("alice")
    assert (await missed.final).status == 404


async def test_progress_headers_can_be_switched_off(empty_town: Town) -> None:
    town = empty_town
    await town.serve(sip={"progress_headers": False})
    phone = await town.asleep(temper=Temper.IGNORE)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    final = await caller.final
    names = {name for it in caller.responses.items for name, _ in it.headers}
    assert not any(name.lower().startswith("x-sipis") for name in names)
    assert final.status == 480
    assert [status for status, _ in heard(caller)].count(180) == 1


async def test_a_flood_of_calls_wakes_the_phone_but_a_few_times(empty_town: Town) -> None:
    town = empty_town
    await town.serve(policy={"calls_per_minute": 2})
    phone = await town.asleep(temper=Temper.IGNORE)
    callers = [town.provider.call("alice") for _ in range(20)]
    finals = [await caller.final for caller in callers]
    assert {final.status for final in finals} == {480}
    assert sum(final.headers.get("Retry-After") is not None for final in finals) == 18
    calls = [it for it in town.stage.fcm.pushes.items if '"event":"call"' in it.data["sipis"]]
    assert len(calls) == 2
    assert {it.target for it in calls} == {phone.push_token}


async def test_a_phone_holds_so_many_calls_and_no_more(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    await phone.register()
    callers = [town.provider.call("alice") for _ in range(9)]
    for _ in range(8):
        await phone.callees.next()
    finals = [caller.final for caller in callers]
    refused, ringing = await asyncio.wait(finals, return_when=asyncio.FIRST_COMPLETED)
    assert [final.result().status for final in refused] == [486]
    assert len(ringing) == 8
    for caller in callers:
        caller.cancel()
    assert sorted([(await it.final).status for it in callers]) == [486, *[487] * 8]


async def test_the_callers_name_is_shown_only_to_an_app_that_asked(empty_town: Town) -> None:
    town = empty_town
    await town.serve(apps={APP: {"preview": True}})
    phone = await town.asleep(temper=Temper.IGNORE, preview=True)
    town.provider.call("alice", name="Carol \u202e\u0007lora\u0301")
    assert (await town.pushed(phone, "call"))["from"] == "Carol lora\u0301"


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([("P-Asserted-Identity", '"Real Name" <sip:17@provider.example>')], "Real Name"),
        ([("Privacy", "id")], None),
        ([("Privacy", "none")], "Carol"),
    ],
)
async def test_what_the_provider_asserts_and_the_caller_hides_is_respected(
    empty_town: Town, headers: list[tuple[str, str]], shown: str | None
) -> None:
    town = empty_town
    await town.serve(apps={APP: {"preview": True}})
    phone = await town.asleep(temper=Temper.IGNORE, preview=True)
    town.provider.call("alice", headers=headers)
    assert (await town.pushed(phone, "call")).get("from") == shown


async def test_with_a_push_key_the_name_travels_sealed_to_this_call(town: Town) -> None:
    key = X25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    phone = await town.asleep(temper=Temper.IGNORE, push_key=public)
    town.provider.call("alice")
    push = await town.pushed(phone, "call")
    assert "from" not in push
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    info = f"sipis-push-v1|{push['instance']}|call".encode()
    opened = json.loads(suite.decrypt(base64.b64decode(str(push["sealed"])), key, info))
    assert opened["from"] == "Carol"
    assert opened["call"] == push["call"]
