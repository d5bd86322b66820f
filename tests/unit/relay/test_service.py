"""The relay as the API and the composition root see it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sipis.model import CallState, PushEvent
from sipis.sip.flow import Door, Transport
from sipis.sip.limits import LARGEST_REQUEST
from sipis.transport.targets import Target
from tests.support.relay import House, a_house, turns
from tests.support.sip_peers import REGISTRAR


async def ringing(house: House) -> tuple[int, str, object]:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    return phone.n, house.pushes.sent[0].call or "", caller


async def test_accepting_over_http_keeps_the_caller_waiting_for_the_apps_sdp(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    view = await house.relay.accept(phone.n, house.pushes.sent[0].call or "")
    assert view is not None
    assert view.state is CallState.RINGING
    progress = await caller.response(180)
    assert progress.headers.get("X-Sipis-Push-Status") == "Device-Making-Progress"
    await house.clock.advance(30)
    assert await caller.silence()
    await house.clock.advance(31)
    while (await caller.next()).start_line().split()[1] != "480":
        continue


async def test_declining_over_http_makes_the_caller_hear_busy(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    view = await house.relay.decline(phone.n, house.pushes.sent[0].call or "")
    assert view is not None
    assert view.state is CallState.DECLINED
    await caller.response(486)


async def test_an_app_asks_about_nobodys_call_but_its_own(house: House) -> None:
    _, call, _ = await ringing(house)
    other = await house.enable("sip:carol@provider.example")
    assert await house.relay.call(other.n, call) is None
    assert await house.relay.accept(other.n, call) is None
    assert await house.relay.calls(other.n) == []


async def test_a_call_is_listed_with_its_caller(house: House) -> None:
    n, call, _ = await ringing(house)
    [view] = await house.relay.calls(n)
    assert (view.call, view.caller, view.state) == (call, "Bob", CallState.RINGING)


async def test_a_late_waker_is_answered_for_two_minutes_and_more_for_a_missed_call(
    house: House,
) -> None:
    n, call, _ = await ringing(house)
    await house.relay.decline(n, call)
    await house.clock.advance(119)
    assert await house.relay.call(n, call) is not None
    await house.clock.advance(2)
    assert await house.relay.call(n, call) is None


async def test_garbage_is_no_call(house: House) -> None:
    phone = await house.enable()
    assert await house.relay.call(phone.n, "no-uuid") is None


async def test_a_stopping_server_waits_for_ringing_calls_and_then_ends_them(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    async with asyncio.TaskGroup() as group:
        drained = group.create_task(house.relay.drain())
        await turns()
        assert not drained.done()
        caller.invite(phone.contact, call_id="too-late")
        await caller.response(503)
        await house.clock.advance(19)
        assert not drained.done()
        await house.clock.advance(2)
    while (await caller.next()).start_line().split()[1] != "480":
        continue
    assert drained.done()


async def test_a_hurried_stop_tells_the_phone_that_it_missed_the_call(house: House) -> None:
    _, _, _ = await ringing(house)
    drained = asyncio.ensure_future(house.relay.drain())
    await turns()
    drained.cancel()
    await house.pushes.wait_for(PushEvent.CALL_ENDED)


async def test_a_destroyed_instance_no_longer_rings(house: House) -> None:
    phone, caller = await house.enable(), await house.caller()
    caller.invite(phone.contact)
    await caller.response(180)
    house.relay.instance_gone(phone.n)
    await caller.response(480)


async def test_old_calls_and_messages_are_erased_in_passing(house: House) -> None:
    n, call, _ = await ringing(house)
    await house.relay.decline(n, call)
    await turns()
    await house.clock.advance(300)
    count = await house.store.read(
        lambda conn: conn.execute("SELECT count(*) FROM calls").fetchone()[0]
    )
    assert count == 0


@pytest.mark.parametrize(("contact", "direct"), [(None, True), ("<sip:app@10.0.0.7:5060>", False)])
async def test_only_an_app_without_nat_may_be_connected_to(
    house: House, contact: str | None, direct: bool
) -> None:
    phone = await house.enable()
    handset = await house.handset(phone.n)
    assert (await handset.register(contact=contact)).status == 200
    target = Target(Transport.UDP, *handset.address)
    flow = await house.endpoint.flow_to(target, door=Door.APP)
    assert house.relay.connectable(flow) is direct
    assert house.relay.connectable(replace(flow, door=Door.PROVIDER))


@pytest.mark.parametrize("over_tcp", [True, False])
async def test_a_provider_without_sip_over_tcp_is_connected_to_as_its_settings_say(
    tmp_path: Path, over_tcp: bool
) -> None:
    async with a_house(tmp_path, providers={REGISTRAR: {"large_over_tcp": over_tcp}}) as house:
        known = await house.endpoint.flow_to(Target(Transport.UDP, "127.0.0.1", 5060))
        other = await house.endpoint.flow_to(Target(Transport.UDP, "127.0.0.2", 5060))
        assert house.relay.connectable(known) is over_tcp
        assert house.relay.connectable(other)


async def test_a_large_call_reaches_an_app_that_has_no_tcp(house: House) -> None:
    phone = await house.enable()
    handset, caller = await house.handset(phone.n), await house.caller()
    await handset.register()
    caller.invite(phone.contact, headers=[("Subject", "x" * LARGEST_REQUEST)])
    invite = await handset.asked("INVITE")
    assert invite.via.transport == "UDP"
    assert len(invite.to_bytes()) > LARGEST_REQUEST
