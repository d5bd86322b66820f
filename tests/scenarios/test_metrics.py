"""What an operator sees of calls, messages and registrations."""

import pytest

from sipis.observe.metrics import Metrics
from sipis.sip.flow import Transport
from sipis.world.agent import Agent
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


def metrics_of(town: Town) -> Metrics:
    assert town.server is not None
    return town.server._ground.metrics


def seen(town: Town, name: str, **labels: str) -> float:
    return metrics_of(town).registry.get_sample_value(f"sipis_{name}", labels) or 0.0


async def test_a_call_is_measured_from_invite_to_wake(town: Town) -> None:
    phone = await town.asleep()
    caller, _ = await town.talk(phone)
    for name in ("invite_to_push", "invite_to_accepted", "push_to_wake"):
        assert seen(town, f"{name}_seconds_count") == 1, name
    sent, taken = (seen(town, f"invite_to_{it}_seconds_sum") for it in ("push", "accepted"))
    assert 0 < sent < taken
    assert seen(town, "calls_total", end="answered") == 1
    await caller.bye()


async def test_an_iphones_call_is_measured_once_for_all_its_tokens(town: Town) -> None:
    phone = await town.asleep_on_iphone()
    await town.pushed_by_apple(phone, "alert")
    caller = town.provider.call("alice")
    await town.pushed_by_apple(phone, "voip")
    assert (await caller.final).status == 200
    assert seen(town, "invite_to_push_seconds_count") == 1
    await caller.bye()


async def test_every_end_of_a_call_is_counted(town: Town) -> None:
    phone = await town.asleep(temper=Temper.IGNORE)
    cancelled = town.provider.call("alice")
    await town.pushed(phone, "call")
    cancelled.cancel()
    await cancelled.final
    elsewhere = town.provider.call("alice")
    await town.pushed(phone, "call")
    elsewhere.cancel("SIP;cause=200")
    await elsewhere.final
    await (town.provider.call("alice", headers=[("Require", "100rel")])).final
    missed = town.provider.call("alice")
    await town.pushed(phone, "call")
    await missed.final
    phone.temper = Temper.DECLINE
    declined = town.provider.call("alice")
    await town.pushed(phone, "call")
    await declined.final
    for end in ("cancelled", "elsewhere", "refused", "missed", "declined"):
        assert seen(town, "calls_total", end=end) == 1, end


async def test_registrations_messages_and_farewells_are_counted(town: Town) -> None:
    phone = await town.asleep()
    await town.state(phone, "registered")
    await town.provider.message("alice", "hello")
    await town.provider.message("alice", "", kind="application/im-iscomposing+xml")
    assert seen(town, "messages_total", outcome="kept") == 1
    assert seen(town, "messages_total", outcome="dropped") == 1
    await phone.register()
    assert seen(town, "relay_registrations_total", outcome="challenged") >= 1
    assert seen(town, "relay_registrations_total", outcome="registered") >= 1
    assert seen(town, "registrations_total", outcome="registered") == 1
    await phone.disable()
    await town.bound(0)
    assert (await phone.here("GET")).status == 404
    assert seen(town, "farewells_total", outcome="accepted") == 1
    assert seen(town, "instances_destroyed_total", reason="disabled") == 1


async def test_strangers_are_counted(town: Town) -> None:
    await town.asleep()
    [binding] = town.provider.registrar.bindings("alice")
    async with Agent(["udp:127.0.0.2:0"]) as stranger:
        flow = await stranger.flow_to(*binding.flow.remote, Transport.UDP)
        stranger.endpoint._transmit(b"OPTIONS sip:100@x SIP/2.0\r\nVia: junk\r\n\r\n", flow)
        scan = town.provider._request("OPTIONS", "100", binding, "<sip:100@x>", [])
        stranger.endpoint.send(scan, flow, lambda _: None)
        assert (await town.provider.options("alice")).status == 200
    assert seen(town, "foreign_requests_total", door="provider") == 1
    assert seen(town, "malformed_total", door="provider") == 1
