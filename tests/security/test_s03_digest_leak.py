"""S3: credentials answer the registrar that was asked, and nobody else (the digest leak)."""

from collections.abc import Iterator

import pytest

from sipis.sip.message import Request, Response
from sipis.world.agent import Agent
from sipis.world.call import Call, Callee, Caller
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)

CHALLENGE = 'Digest realm="provider.example", nonce="0a4f113b", qop="auth", algorithm=MD5'
FOREIGN = 'Digest realm="evil.example", nonce="0a4f113b", qop="auth", algorithm=MD5'


def credentials_in(requests: list[Request]) -> Iterator[str]:
    for request in requests:
        for name in ("Authorization", "Proxy-Authorization"):
            yield from request.headers.get_all(name)


class Challenging:
    """Makes one side of a call answer whatever it is asked inside the call with a challenge."""

    def __init__(self, call: Call, status: int, challenge: str = CHALLENGE) -> None:
        self.requests: list[Request] = []
        self._call, self._status, self._challenge = call, status, challenge
        call._answer_inside = self._answer  # type: ignore[method-assign]

    def _answer(self, request: Request, transaction: str) -> None:
        self.requests.append(request)
        response = Response.build(self._status)
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            for value in request.headers.get_all(name):
                response.headers.add(name, value)
        header = "WWW-Authenticate" if self._status == 401 else "Proxy-Authenticate"
        response.headers.add(header, self._challenge)
        self._call.agent.endpoint.respond(transaction, response)


async def talking(town: Town) -> tuple[Caller, Callee]:
    return await town.talk(await town.asleep())


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("challenge", [CHALLENGE, FOREIGN])
async def test_a_caller_who_challenges_our_bye_gets_no_credentials(
    town: Town, status: int, challenge: str
) -> None:
    caller, callee = await talking(town)
    asked = Challenging(caller, status, challenge)
    await callee.bye()
    assert [one.method for one in asked.requests] == ["BYE"]
    assert list(credentials_in(asked.requests)) == []


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "MESSAGE"])
async def test_a_caller_who_challenges_what_the_app_asks_gets_no_credentials(
    town: Town, method: str
) -> None:
    caller, callee = await talking(town)
    asked = Challenging(caller, 407)
    response = await callee.ask(method, b"x", kind="text/plain")
    assert response.status >= 400
    assert response.headers.get("Proxy-Authenticate") is None
    assert len([one for one in asked.requests if one.method != "ACK"]) <= 1
    assert list(credentials_in(asked.requests)) == []


async def test_an_app_that_challenges_us_gets_no_credentials(town: Town) -> None:
    caller, callee = await talking(town)
    asked = Challenging(callee, 401)
    await caller.ask("INFO", b"5", kind="application/dtmf-relay")
    await caller.bye()
    assert list(credentials_in(asked.requests)) == []


async def test_an_app_that_challenges_the_call_gets_no_credentials(town: Town) -> None:
    phone = await town.asleep(temper=Temper.RING)
    caller = town.provider.call("alice")
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    callee.refuse(401)
    assert (await caller.final).status == 480
    assert list(credentials_in(callee.requests.items)) == []


async def test_a_challenge_of_another_source_to_our_registration_is_not_heard(
    town: Town, stranger: Agent
) -> None:
    town.provider.registrar.habits.silent = True
    phone = await town.phone()
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    await phone.enable(account)
    register = await town.provider.registrar.requests.next()
    town.provider.registrar.habits.silent = False
    forged = Response.build(401)
    for name in ("From", "To", "Call-ID", "CSeq"):
        forged.headers.add(name, register.headers.get(name) or "")
    own = (register.headers.get("Via") or "").partition(";branch=")[0]
    forged.headers.add("Via", f"{own};branch=z9hG4bKguess")
    forged.headers.add("WWW-Authenticate", 'Digest realm="evil.example", nonce="n"')
    [listener] = [it for it in town.server._ground.endpoint.listening  # type: ignore[union-attr]
                  if it.transport.value == "udp"]  # fmt: skip
    flow = await stranger.flow_to("127.0.0.1", listener.port, listener.transport)
    stranger.endpoint._transmit(forged.to_bytes(), flow)
    await town.state(phone, "registered")
    assert not any("evil.example" in one for one in credentials_in(
        town.provider.registrar.requests.items
    ))  # fmt: skip


async def test_ha1s_answer_no_other_realm(town: Town) -> None:
    phone = await town.phone()
    account = {"aor": town.provider.add("alice", "secret"), "registrar": town.provider.address(),
               "ha1": [{"realm": "elsewhere.example", "ha1": "ab" * 16}]}  # fmt: skip
    await phone.enable(account)
    await town.state(phone, "unauthorized")
    assert list(credentials_in(town.provider.registrar.requests.items)) == []
