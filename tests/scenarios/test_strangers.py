"""Who may reach a phone: strangers get nothing, callers inside a call may come from anywhere."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request, Response
from sipis.sip.uri import SipUri
from sipis.transport.targets import Target
from sipis.world.agent import Agent
from sipis.world.call import OFFER, SDP
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)

METHODS = ("INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE", "REFER", "FOO")


@pytest.fixture
async def stranger() -> AsyncIterator[Agent]:
    """Somebody at another address than the provider's."""
    async with Agent(["udp:127.0.0.2:0", "tcp:127.0.0.2:0"], name="friendly-scanner") as agent:
        yield agent


def probe(method: str, uri: str, agent: Agent, tag: str = "") -> Request:
    host, port = "127.0.0.2", agent.port()
    headers = [
        ("Max-Forwards", "70"),
        ("From", f"<sip:100@127.0.0.2>;tag={agent.token()}"),
        ("To", f"<sip:alice@provider.example>{tag}"),
        ("Call-ID", agent.token(16)),
        ("CSeq", f"1 {method}"),
        ("Contact", f"<sip:100@{host}:{port}>"),
        ("Event", "message-summary"),
        SDP,
    ]
    return Request.build(method, uri, headers, OFFER)


async def door_of(town: Town) -> tuple[str, int]:
    """Where the provider finds us."""
    await town.asleep("alice", temper=Temper.IGNORE)
    [binding] = town.provider.registrar.bindings("alice")
    return binding.flow.remote


async def test_a_stranger_gets_no_answer_over_udp_whatever_he_tries(
    town: Town, stranger: Agent
) -> None:
    door = await door_of(town)
    [binding] = town.provider.registrar.bindings("alice")
    token = binding.contact.uri
    flow = await stranger.flow_to(*door, Transport.UDP)
    uris = [str(token), f"sip:alice@{door[0]}:{door[1]}", f"sip:{door[0]}:{door[1]}"]
    answers: list[asyncio.Task[Response]] = [
        asyncio.ensure_future(stranger.ask(probe(method, uri, stranger), flow))
        for method in METHODS
        for uri in uris
    ]
    answers.append(asyncio.ensure_future(
        stranger.ask(probe("BYE", uris[0], stranger, ";tag=guessed"), flow)
    ))  # fmt: skip
    pushes = len(town.stage.fcm.pushes.items)
    assert (await town.provider.options("alice")).status == 200
    assert not any(answer.done() for answer in answers)
    assert len(town.stage.fcm.pushes.items) == pushes
    for answer in answers:
        answer.cancel()


async def test_a_stranger_who_takes_the_trouble_to_connect_hears_nothing_either(
    town: Town, stranger: Agent
) -> None:
    await town.asleep(account={"registrar": town.provider.address(Transport.TCP)})
    [binding] = town.provider.registrar.bindings("alice")
    assert isinstance(binding.contact.uri, SipUri)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", binding.contact.uri.port, local_addr=("127.0.0.2", 0)
    )
    invite = probe("INVITE", str(binding.contact.uri), stranger)
    invite.headers.prepend("Via", "SIP/2.0/TCP 127.0.0.2;branch=z9hG4bKscan")
    writer.write(invite.to_bytes() + b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    assert (await town.provider.options("alice")).status == 200
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    writer.close()


@pytest.mark.parametrize("junk", [b"hello", b"OPTIONS sip:x SIP/2.0\r\nVia: broken\r\n\r\n"])
async def test_garbage_from_a_stranger_is_not_answered(town: Town, junk: bytes) -> None:
    door = await door_of(town)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        stranger.settimeout(0)
        stranger.sendto(junk, door)
        assert (await town.provider.options("alice")).status == 200
        with pytest.raises(BlockingIOError):
            stranger.recv(1)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"extra_sources": ["127.0.0.2/32"]}, id="an extra source"),
        pytest.param({"inbound": "token"}, id="known by the token alone"),
    ],
)
async def test_a_call_may_come_from_where_the_operator_says(
    empty_town: Town, stranger: Agent, settings: dict[str, object]
) -> None:
    town = empty_town
    await town.serve(providers={"127.0.0.1": settings})
    phone = await town.asleep("alice")
    [binding] = town.provider.registrar.bindings("alice")
    flow = await stranger.flow_to(*binding.flow.remote, Transport.UDP)
    ringing = asyncio.ensure_future(
        stranger.ask(probe("INVITE", str(binding.contact.uri), stranger), flow)
    )
    await town.pushed(phone, "call")
    assert (await ringing).status == 200


async def test_a_caller_hangs_up_straight_from_his_own_phone(town: Town, stranger: Agent) -> None:
    phone = await town.asleep("alice")
    caller, callee = await town.talk(phone)
    assert caller.dialog is not None
    flow = await straight(stranger, caller.flow)
    assert (await stranger.ask(caller.dialog.request("BYE"), flow)).status == 200
    await callee.ended.wait()


@pytest.mark.parametrize("wrong", ["Call-ID", "From", "To"])
async def test_a_forged_bye_changes_nothing(town: Town, stranger: Agent, wrong: str) -> None:
    phone = await town.asleep("alice")
    caller, callee = await town.talk(phone)
    assert caller.dialog is not None
    forged = caller.dialog.request("BYE")
    forged.headers.set(wrong, f"{forged.headers.get(wrong)}x")
    flow = await straight(stranger, caller.flow)
    refused = asyncio.ensure_future(stranger.ask(forged, flow))
    assert (await caller.ask("INFO", b"5", kind="application/dtmf")).status == 200
    assert not callee.ended.is_set()
    refused.cancel()
    assert (await caller.bye()).status == 200


async def test_a_cancel_from_elsewhere_does_not_stop_the_ringing(
    town: Town, stranger: Agent
) -> None:
    phone = await town.asleep("alice", temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    cancel = Request.build("CANCEL", caller.invite.uri, [
        ("Via", caller.invite.headers.get("Via") or ""),
        ("Max-Forwards", "70"),
        ("From", caller.invite.headers.get("From") or ""),
        ("To", caller.invite.headers.get("To") or ""),
        ("Call-ID", caller.invite.call_id),
        ("CSeq", "1 CANCEL"),
    ])  # fmt: skip
    stranger.endpoint._transmit(cancel.to_bytes(), await straight(stranger, caller.flow))
    assert (await town.provider.options("alice")).status == 200
    callee.answer()
    assert (await caller.final).status == 200
    await caller.bye()


async def test_a_challenge_inside_a_call_is_never_answered_with_credentials(town: Town) -> None:
    phone = await town.asleep("alice")
    caller, callee = await town.talk(phone)
    challenged: list[Request] = []

    def refuse(request: Request, transaction: str) -> None:
        challenged.append(request)
        response = Response.build(407)
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            for value in request.headers.get_all(name):
                response.headers.add(name, value)
        response.headers.add("Proxy-Authenticate", 'Digest realm="provider.example", nonce="n"')
        town.provider.endpoint.respond(transaction, response)

    caller._answer_inside = refuse  # type: ignore[method-assign]
    assert (await callee.ask("INFO", b"5", kind="application/dtmf")).status == 403
    assert len(challenged) == 1
    assert "Proxy-Authorization" not in challenged[0].headers
    assert (await caller.bye()).status == 200


async def straight(stranger: Agent, flow: Flow) -> Flow:
    """The way to us without the provider."""
    host, port = flow.remote
    return await stranger.endpoint.flow_to(Target(Transport.UDP, host, port), door=Door.APP)
