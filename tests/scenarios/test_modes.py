"""Who has the registration while the app is in the foreground: alternate, takeover, continuous."""

import pytest

from sipis.world.handset import Temper
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


async def test_alternate_gives_the_registration_to_the_app_and_takes_it_back(town: Town) -> None:
    phone = await town.asleep(mode="alternate")
    answer = await phone.here("POST", "/foreground", {"lease": 600})
    assert answer.status == 200
    assert answer.body["foreground_until"]
    await town.bound(0)
    assert (await town.state(phone, "idle"))["foreground_until"]
    assert (await phone.here("POST", "/background", {})).status == 200
    await town.bound(1)
    await town.state(phone, "registered")
    caller, _ = await town.talk(phone)
    await caller.bye()


async def test_an_app_that_crashed_in_the_foreground_loses_its_lease(town: Town) -> None:
    phone = await town.asleep(mode="alternate")
    assert (await phone.here("POST", "/foreground", {"lease": 1})).status == 200
    await town.bound(0)
    await town.bound(1)
    caller, _ = await town.talk(phone)
    await caller.bye()


async def test_alternate_may_be_asked_for_and_given_back_in_one_breath(town: Town) -> None:
    phone = await town.asleep(mode="alternate")
    for _ in range(3):
        assert (await phone.here("POST", "/foreground", {})).status == 200
        assert (await phone.here("POST", "/background", {})).status == 200
    # On the way there it may be bound and registered for a moment: what counts is where it ends.
    await town.state(phone, "registered")
    await town.bound(1)


async def test_takeover_stops_without_a_word(town: Town) -> None:
    phone = await town.asleep(mode="takeover")
    said = len(town.provider.registrar.requests.items)
    assert (await phone.here("POST", "/foreground", {})).status == 200
    assert (await phone.disable()).status == 200
    await town.stop()
    assert len(town.provider.registrar.requests.items) == said
    assert len(town.provider.registrar.bindings("alice")) == 1


async def test_takeover_ends_when_the_app_goes_to_the_background(town: Town) -> None:
    phone = await town.asleep(mode="takeover")
    assert (await phone.here("POST", "/foreground", {})).status == 200
    said = len(town.provider.registrar.accepted.items)
    assert (await phone.here("POST", "/background", {})).status == 200
    await town.provider.registrar.accepted.count(said + 1)
    caller, _ = await town.talk(phone)
    await caller.bye()


async def test_takeover_while_a_register_is_under_way_loses_no_time_afterwards(town: Town) -> None:
    town.provider.registrar.habits.silent = True
    phone = await town.phone()
    registrar = town.provider.registrar
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    assert (await phone.enable(account, mode="takeover")).status == 201
    await registrar.requests.next()
    assert (await phone.here("POST", "/foreground", {})).status == 200
    registrar.habits.silent = False
    assert (await phone.here("POST", "/background", {})).status == 200
    await town.bound(1)


async def test_continuous_stays_registered_and_calls_the_app_on_its_flow(town: Town) -> None:
    phone = await town.asleep(mode="continuous")
    said = len(town.provider.registrar.requests.items)
    answer = await phone.here("POST", "/foreground", {})
    assert answer.status == 200
    assert "foreground_until" not in answer.body
    await phone.register()
    caller = town.provider.call("alice")
    await phone.callees.next()
    assert (await caller.final).status == 200
    await caller.bye()
    await town.state(phone, "registered")
    assert len(town.provider.registrar.requests.items) == said


async def test_a_change_of_mode_gives_the_registration_back(town: Town) -> None:
    phone = await town.asleep(mode="alternate")
    await phone.here("POST", "/foreground")
    await town.state(phone, "idle")
    answer = await phone.here("PUT", "", {"mode": "continuous"})
    assert answer.status == 200
    assert "foreground_until" not in answer.body
    await town.state(phone, "registered")


async def test_a_call_that_crosses_the_hand_over_still_rings(town: Town) -> None:
    phone = await town.asleep(mode="alternate", temper=Temper.ANSWER)
    binding = town.provider.registrar.bindings("alice")[-1]
    assert (await phone.here("POST", "/foreground", {})).status == 200
    await phone.register()
    await town.bound(0)
    caller = town.provider.call("alice", binding=binding)
    await phone.callees.next()
    assert (await caller.final).status == 200
    await caller.bye()


async def test_disabling_withdraws_the_binding(town: Town) -> None:
    phone = await town.asleep()
    binding = town.provider.registrar.bindings("alice")[-1]
    assert (await phone.disable()).status == 200
    await town.bound(0)
    late = town.provider.call("alice", binding=binding)
    assert (await late.final).status == 480
