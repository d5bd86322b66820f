"""S17: nobody's phone is woken for a push token whose possession was not proven."""

import asyncio

import pytest

from sipis.world.handset import Handset
from sipis.world.stage import sipis_of
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


async def unproven(town: Town) -> Handset:
    """A phone that handed in its token and does not react to what is pushed there."""
    phone = await town.phone()
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    assert (await phone.enable(account)).status == 201
    await town.provider.registrar.accepted.next()
    await town.stage.fcm.pushes.next()
    return phone


def events(town: Town) -> list[object]:
    return [sipis_of(message.data)["event"] for message in town.stage.fcm.pushes.items]


async def test_without_the_echo_no_call_and_no_message_is_pushed(town: Town) -> None:
    phone = await unproven(town)
    assert (await town.provider.call("alice").final).status == 480
    assert (await town.provider.message("alice", "hello")).status in (200, 202, 480)
    assert (await town.provider.notify_voicemail("alice", 3)).status == 200
    assert set(events(town)) == {"verify"}
    assert (await phone.here("GET")).body["verified"] is False


async def test_a_guess_proves_nothing_and_guessing_ends(town: Town) -> None:
    phone = await unproven(town)
    guesses = [await phone.here("POST", "/verify", {"code": f"{n:032x}"}) for n in range(12)]
    assert {answer.status for answer in guesses} == {422, 429}
    code = sipis_of(town.stage.fcm.pushes.items[0].data)["code"]
    assert (await phone.here("POST", "/verify", {"code": code})).status == 429
    assert (await town.provider.call("alice").final).status == 480
    assert set(events(town)) == {"verify"}


async def test_a_code_of_another_instance_proves_nothing(town: Town) -> None:
    first = await unproven(town)
    second = await town.phone()
    account = {"aor": town.provider.add("bob", "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    assert (await second.enable(account)).status == 201
    await town.stage.fcm.pushes.next()
    codes = {it.target: sipis_of(it.data)["code"] for it in town.stage.fcm.pushes.items}
    wrong = await first.here("POST", "/verify", {"code": codes[second.push_token]})
    assert wrong.status == 422
    right = await first.here("POST", "/verify", {"code": codes[first.push_token]})
    assert right.status == 200
    town.provider.call("alice")
    async with asyncio.timeout(10):
        while sipis_of((await town.stage.fcm.pushes.next()).data)["event"] != "call":
            pass
