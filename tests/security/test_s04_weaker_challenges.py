"""S4: a challenge weaker than one that the provider sent before is not answered."""

import asyncio

import pytest

from sipis.sip.digest import Algorithm
from sipis.world.handset import Handset
from tests.scenarios.conftest import Town
from tests.support.life import refresh_now

pytestmark = pytest.mark.timeout(30)


async def registered(town: Town) -> Handset:
    phone = await town.phone()
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    assert (await phone.enable(account)).status == 201
    await town.state(phone, "registered")
    return phone


async def until_reason(phone: Handset, reason: str) -> None:
    """Wait until the API gives this reason, whatever the state: a binding may still be alive."""
    while (await phone.here("GET")).body.get("reason") != reason:  # noqa: ASYNC110 - asks over HTTP
        await asyncio.sleep(0)


@pytest.mark.parametrize("weakness", ["algorithm", "qop"])
@pytest.mark.parametrize("allowed", [False, True])
async def test_a_weaker_challenge_is_answered_only_where_the_operator_allows_it(
    empty_town: Town, weakness: str, allowed: bool
) -> None:
    town = empty_town
    await town.serve(
        api={"requests_per_minute": 1_000_000},
        providers={"127.0.0.1": {"allow_downgrade": allowed}},
    )
    registrar = town.provider.registrar
    registrar.habits.algorithms = (Algorithm.SHA256,)
    phone = await registered(town)
    registrar._nonces.clear()
    if weakness == "algorithm":
        registrar.habits.algorithms = (Algorithm.MD5,)
    else:
        registrar.habits.qop = ""
    before = len(registrar.requests.items)
    await refresh_now(town, phone)
    if allowed:
        await registrar.accepted.count(2)
        return
    await until_reason(phone, "needs_credentials")
    asked = registrar.requests.items[before:]
    answers = [one.headers.get("Authorization") or "" for one in asked]
    assert not any(
        "algorithm=MD5" in answer or "qop=" not in answer for answer in answers if answer
    )
    assert len(registrar.accepted.items) == 1
