"""S25: no INVITE and no REFER leaves toward a provider but inside a call that it began."""

import pytest

from sipis.sip.flow import Door, Flow
from sipis.sip.message import Request, parse_message
from sipis.transport.endpoint import Endpoint
from sipis.world.call import OFFER
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def outbound(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, Flow]]:
    """Every request that any endpoint of this process sends."""
    sent: list[tuple[Request, Flow]] = []
    transmit = Endpoint._transmit

    def noted(self: Endpoint, data: bytes, flow: Flow) -> None:
        message = parse_message(data) if data.strip() else None
        if isinstance(message, Request):
            sent.append((message, flow))
        transmit(self, data, flow)

    monkeypatch.setattr(Endpoint, "_transmit", noted)
    return sent


async def test_a_whole_life_sends_a_provider_nothing_that_costs_money(
    town: Town, outbound: list[tuple[Request, Flow]]
) -> None:
    phone = await town.asleep("alice")
    caller, callee = await town.talk(phone)
    await callee.ask("INVITE", OFFER)
    refer = callee.dialog
    assert refer is not None
    inside = refer.request("REFER", headers=[("Refer-To", "<sip:0900@provider.example>")])
    await phone.ask(inside, callee.flow)
    for method in ("INVITE", "REFER", "MESSAGE", "SUBSCRIBE", "PUBLISH"):
        alone = refer.request(method)
        alone.headers.set("To", "<sip:0900@provider.example>")
        alone.headers.set("Call-ID", f"alone-{method}")
        assert (await phone.ask(alone, callee.flow)).status in (405, 603)
    await caller.bye()
    town.provider.call("alice").cancel()
    await town.provider.message("alice", "hello")
    ringing = await town.asleep("bob", temper=Temper.DECLINE)
    refused = town.provider.call("bob")
    await town.pushed(ringing, "call")
    assert (await refused.final).status == 486
    await phone.disable()
    await town.provider.registrar.accepted.next()

    toward = [it for it, flow in outbound if flow.door is Door.PROVIDER]
    begun = {request.call_id for request, flow in outbound
             if flow.door is Door.APP and request.method == "INVITE"}  # fmt: skip
    assert {it.method for it in toward} <= {"REGISTER", "ACK", "BYE", "INVITE", "REFER"}
    for request in toward:
        if request.method != "REGISTER":
            assert request.to.tag is not None
            assert request.call_id in begun
