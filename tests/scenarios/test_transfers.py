"""Calls that change while they run: hold, transfer, replacement, glare, loops."""

import asyncio

import pytest

from sipis.sip.message import Request
from sipis.world.call import OFFER, Call
from sipis.world.handset import Temper
from sipis.world.inbox import Inbox
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


def named(call: Call) -> str:
    """A dialog as Replaces names it to the other side (RFC 3891 3)."""
    assert call.dialog is not None
    return f"{call.dialog.call_id};to-tag={call.dialog.remote_tag};from-tag={call.dialog.local_tag}"


async def test_a_call_that_replaces_another_names_it_as_the_app_knows_it(town: Town) -> None:
    phone = await town.asleep()
    first, callee = await town.talk(phone)
    second = town.provider.call("alice", caller="dave", headers=[("Replaces", named(first))])
    taken_over = await phone.callees.next()
    replaces = taken_over.invite.headers.get("Replaces") or ""
    assert callee.dialog is not None
    assert replaces.split(";")[0] == callee.invite.call_id
    assert f"to-tag={callee.dialog.local_tag}" in replaces
    assert f"from-tag={callee.dialog.remote_tag}" in replaces
    assert (await second.final).status == 200
    assert (await callee.bye()).status == 200
    await first.ended.wait()
    assert (await second.bye()).status == 200


async def test_a_call_that_replaces_nothing_of_ours_is_refused(town: Town) -> None:
    await town.asleep()
    pushes = len(town.stage.fcm.pushes.items)
    stray = town.provider.call("alice", headers=[("Replaces", "x;to-tag=1;from-tag=2")])
    assert (await stray.final).status == 481
    assert len(town.stage.fcm.pushes.items) == pushes


async def test_a_transfer_inside_a_call_reaches_the_other_side(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert callee.dialog is not None
    refer = callee.dialog.request("REFER", headers=[("Refer-To", "<sip:dave@provider.example>")])
    assert (await phone.ask(refer, callee.flow)).status == 200
    assert caller.requests.items[-1].headers.get("Refer-To") == "<sip:dave@provider.example>"
    await caller.bye()


async def test_an_attended_transfer_names_the_other_call_as_the_provider_knows_it(
    town: Town,
) -> None:
    phone = await town.asleep()
    first, one = await town.talk(phone)
    second = town.provider.call("alice", caller="dave")
    other = await phone.callees.next()
    assert (await second.final).status == 200
    await other.acknowledged.wait()
    assert one.dialog is not None
    name = named(other).replace(";", "%3B").replace("=", "%3D")
    target = f"<sip:dave@provider.example?Replaces={name}>"
    refer = one.dialog.request("REFER", headers=[("Refer-To", target)])
    assert (await phone.ask(refer, one.flow)).status == 200
    heard = first.requests.items[-1].headers.get("Refer-To") or ""
    assert second.invite.call_id in heard
    assert other.invite.call_id not in heard
    await first.bye()
    await second.bye()


@pytest.mark.parametrize("method", ["REFER", "SUBSCRIBE", "PUBLISH", "UPDATE"])
async def test_nothing_is_done_for_requests_outside_of_calls(town: Town, method: str) -> None:
    await town.asleep()
    [binding] = town.provider.registrar.bindings("alice")
    request = town.provider._request(
        method, "alice", binding, "<sip:carol@provider.example>",
        [("Refer-To", "<sip:0900@provider.example>"), ("Contact", "<sip:carol@127.0.0.1>")],
    )  # fmt: skip
    owed = {"REFER": 603, "UPDATE": 481}.get(method, 405)
    assert (await town.provider.ask(request, binding.flow)).status == owed


async def test_two_offers_at_once_are_told_apart(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    kept: Inbox[tuple[Request, str]] = Inbox()
    answer_inside = callee._answer_inside
    callee._answer_inside = lambda *asked: kept.put(asked)  # type: ignore[method-assign]
    slow = asyncio.ensure_future(caller.ask("INVITE", OFFER))
    offered = await kept.next()
    assert (await callee.ask("INVITE", OFFER)).status == 491
    answer_inside(*offered)
    assert (await slow).status == 200
    assert (await callee.ask("INVITE", OFFER)).status == 200
    await caller.bye()


async def test_a_repeated_invite_is_one_call_and_one_push(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    wire = caller.invite.to_bytes()
    for _ in range(3):
        town.provider.endpoint._transmit(wire, caller.flow)
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    town.provider.endpoint._transmit(wire, caller.flow)
    callee.answer()
    assert (await caller.final).status == 200
    await callee.acknowledged.wait()
    assert len(phone.callees.items) == 1
    calls = (await phone.here("GET", "/calls")).body["calls"]
    assert isinstance(calls, list)
    assert len(calls) == 1
    await caller.bye()


async def test_a_call_that_comes_back_to_us_is_a_loop(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    mark = callee.invite.headers.get("X-Sipis-Hop") or ""
    again = town.provider.call("alice", headers=[("X-Sipis-Hop", mark)])
    assert (await again.final).status == 482
    caller.cancel()
    await caller.final


async def test_a_call_without_hops_left_is_refused(town: Town) -> None:
    await town.asleep()
    [binding] = town.provider.registrar.bindings("alice")
    request = town.provider._request("INVITE", "alice", binding, "<sip:carol@x>", [])
    request.headers.set("Max-Forwards", "0")
    request.headers.add("Contact", "<sip:carol@127.0.0.1>")
    answer = await town.provider.ask(request, binding.flow)
    assert answer.status == 483
