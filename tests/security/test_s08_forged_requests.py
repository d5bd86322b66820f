"""S8: a request that is wrong in one element changes no call."""

import asyncio

import pytest

from sipis.sip.flow import Door, Transport
from sipis.sip.message import Request
from sipis.transport.targets import Target
from sipis.world.agent import Agent
from sipis.world.call import Caller
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


def cancel_of(caller: Caller) -> Request:
    """What the caller would send to give up."""
    headers = caller.invite.headers
    return Request.build("CANCEL", caller.invite.uri, [
        *((name, headers.get(name) or "") for name in ("Via", "From", "To", "Call-ID")),
        ("Max-Forwards", "70"),
        ("CSeq", f"{caller.invite.cseq.number} CANCEL"),
    ])  # fmt: skip


async def test_a_cancel_with_another_branch_or_source_leaves_the_phone_ringing(
    town: Town, stranger: Agent
) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    branch = cancel_of(caller)
    branch.headers.set("Via", (branch.headers.get("Via") or "").replace("z9hG4bK", "z9hG4bKx"))
    town.provider.endpoint._transmit(branch.to_bytes(), caller.flow)
    elsewhere = await stranger.endpoint.flow_to(
        Target(Transport.UDP, *caller.flow.remote), door=Door.APP
    )
    stranger.endpoint._transmit(cancel_of(caller).to_bytes(), elsewhere)
    assert (await town.provider.options("alice")).status == 200
    assert not callee.cancelled.is_set()
    callee.answer()
    assert (await caller.final).status == 200


def forged(caller: Caller, method: str, element: str) -> Request:
    assert caller.dialog is not None
    request = caller.dialog.request(method)
    value = request.headers.get(element) or ""
    old = f"0 {method}" if element == "CSeq" else f"{value}x"
    request.headers.set(element, old)
    return request


async def test_one_wrong_element_inside_a_call_changes_nothing(town: Town) -> None:
    phone = await town.asleep()
    caller, callee = await town.talk(phone)
    assert (await caller.ask("INFO", b"5", kind="application/dtmf-relay")).status == 200
    heard = len(callee.requests.items)
    for method in ("BYE", "UPDATE", "INVITE"):
        for element in ("Call-ID", "From", "To", "CSeq"):
            response = await town.provider.ask(forged(caller, method, element), caller.flow)
            assert response.status in (481, 500), (method, element)
    assert len(callee.requests.items) == heard
    assert not callee.ended.is_set()
    assert not caller.ended.is_set()
    assert (await caller.bye()).status == 200
    async with asyncio.timeout(5):
        await callee.ended.wait()
