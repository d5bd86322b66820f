"""The world's provider and its phones, joined without the server: they must trust each other."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sipis.sip.digest import Algorithm
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Flow, Transport
from sipis.sip.message import Request, Response, response_to
from sipis.world.agent import Agent
from sipis.world.call import Callee
from sipis.world.inbox import Inbox
from sipis.world.provider import Provider
from sipis.world.registrar import Refusal

PATIENCE = 10


class Phone(Agent):
    """A phone that is always awake; enough to try the provider."""

    def __init__(self) -> None:
        super().__init__(name="phone")
        self.callees: Inbox[Callee] = Inbox()
        self.take = self._take

    async def register(
        self, provider: Provider, password: str, transport: Transport = Transport.UDP
    ) -> Response:
        flow = await self.flow_to("127.0.0.1", provider.port(transport), transport)
        return await self.ask_as(self.registration(flow), flow, "bob", password)

    def registration(self, flow: Flow, expires: int = 600) -> Request:
        host, port = self.endpoint.contact_address(flow)
        return Request.build("REGISTER", "sip:provider.example", [
            ("Max-Forwards", "70"),
            ("From", f"<sip:bob@provider.example>;tag={self.token()}"),
            ("To", "<sip:bob@provider.example>"),
            ("Call-ID", self.token()),
            ("CSeq", "1 REGISTER"),
            ("Contact", f"<sip:bob@{host}:{port};transport={flow.transport.value}>"),
            ("Expires", str(expires)),
        ])  # fmt: skip

    def _take(self, event: RequestReceived) -> None:
        assert event.transaction is not None
        if event.request.method == "INVITE":
            callee = Callee(self, event)
            self.callees.put(callee)
            callee.ring()
        else:
            self.endpoint.respond(event.transaction, response_to(event.request, 200))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with asyncio.timeout(PATIENCE * 3), Provider() as provider:
        provider.add("bob", "right")
        yield provider


@pytest.fixture
async def phone(provider: Provider) -> AsyncIterator[Phone]:
    async with Phone() as phone:
        yield phone


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_a_phone_with_the_right_password_is_bound(
    provider: Provider, phone: Phone, transport: Transport
) -> None:
    assert (await phone.register(provider, "right", transport)).status == 200
    assert len(provider.registrar.bindings("bob")) == 1


async def test_a_wrong_password_is_challenged_again(provider: Provider, phone: Phone) -> None:
    assert (await phone.register(provider, "wrong")).status == 401
    assert provider.registrar.bindings("bob") == []


@pytest.mark.parametrize("algorithm", [Algorithm.SHA256, Algorithm.SHA512_256, Algorithm.MD5_SESS])
async def test_every_algorithm_of_digest_can_be_asked_for(
    provider: Provider, phone: Phone, algorithm: Algorithm
) -> None:
    provider.registrar.habits.algorithms = (algorithm,)
    assert (await phone.register(provider, "right")).status == 200


async def test_a_refusal_answers_the_next_register_only(provider: Provider, phone: Phone) -> None:
    provider.registrar.habits.refusals.append(Refusal(503, (("Retry-After", "9"),)))
    refused = await phone.register(provider, "right")
    assert refused.status == 503
    assert refused.headers.get("Retry-After") == "9"
    assert (await phone.register(provider, "right")).status == 200


async def test_a_short_interval_is_refused_with_423(provider: Provider, phone: Phone) -> None:
    provider.registrar.habits.min_expires = 900
    refused = await phone.register(provider, "right")
    assert (refused.status, refused.min_expires) == (423, 900)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
async def test_a_call_is_answered_and_ended_by_either_side(
    provider: Provider, phone: Phone, transport: Transport
) -> None:
    await phone.register(provider, "right", transport)
    caller = provider.call("bob")
    callee = await phone.callees.next()
    await caller.until(180)
    callee.answer()
    assert (await caller.final).status == 200
    await callee.acknowledged.wait()
    assert (await callee.ask("INVITE", b"v=0")).status == 200
    assert (await callee.bye()).status == 200
    await caller.ended.wait()

    caller = provider.call("bob")
    (await phone.callees.next()).answer()
    await caller.final
    assert (await caller.bye()).status == 200


async def test_a_caller_can_give_up(provider: Provider, phone: Phone) -> None:
    await phone.register(provider, "right")
    caller = provider.call("bob")
    callee = await phone.callees.next()
    await caller.until(180)
    caller.cancel("SIP;cause=200")
    assert (await caller.final).status == 487
    await callee.cancelled.wait()
    assert callee.requests.items[-1].headers.get("Reason") == "SIP;cause=200"


async def test_messages_and_voicemail_notices_reach_the_phone(
    provider: Provider, phone: Phone
) -> None:
    await phone.register(provider, "right")
    assert (await provider.message("bob", "hello")).status == 200
    assert (await provider.notify_voicemail("bob", 2)).status == 200
    assert (await provider.options("bob")).status == 200


def test_nobody_can_be_called_who_is_not_registered() -> None:
    with pytest.raises(LookupError):
        Provider().call("bob")
