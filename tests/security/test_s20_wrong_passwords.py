"""S20: the server is no tool for guessing passwords: few wrong answers, then silence."""

import asyncio

import pytest

from sipis.world.handset import Handset
from tests.scenarios.conftest import Town
from tests.support.life import refresh_now, row_of

pytestmark = pytest.mark.timeout(30)


def answers(town: Town, user: str = "") -> list[str]:
    """The credentials that the registrar got for this user."""
    return [
        value for request in town.provider.registrar.requests.items if user in str(request.to.uri)
        for value in request.headers.get_all("Authorization")
    ]  # fmt: skip


async def enabled(town: Town, user: str, password: str) -> Handset:
    phone = await town.phone()
    aor = town.provider.add(user, "right")
    account = {"aor": aor, "password": password, "registrar": town.provider.address()}
    assert (await phone.enable(account)).status == 201
    return phone


async def test_a_password_that_was_never_right_is_tried_once(town: Town) -> None:
    phone = await enabled(town, "alice", "wrong")
    await town.state(phone, "unauthorized")
    assert len(answers(town)) == 1
    for _ in range(5):
        await phone.here("POST", "/refresh", {})
        await phone.here("POST", "/background")
    await enabled(town, "bob", "right")
    await town.provider.registrar.accepted.next()
    assert len(answers(town, "alice")) == 1


async def test_a_password_that_stopped_being_right_is_tried_three_times_at_most(
    town: Town,
) -> None:
    phone = await enabled(town, "alice", "right")
    await town.provider.registrar.accepted.next()
    await town.state(phone, "registered")
    town.provider.registrar.passwords["alice"] = "another"
    town.provider.registrar._nonces.clear()
    before = len(answers(town))
    while "next_attempt_at" in (await phone.here("GET")).body:
        refused = (await row_of(town, phone)).refusals
        await refresh_now(town, phone)
        while (await row_of(town, phone)).refusals == refused:  # noqa: ASYNC110 - a row tells nobody
            await asyncio.sleep(0)
    fresh = [value for value in answers(town)[before:] if "nc=00000001" in value]
    assert 1 <= len(fresh) <= 3


async def test_a_guesser_with_many_accounts_is_stopped_by_the_budget_of_the_provider(
    empty_town: Town,
) -> None:
    await empty_town.serve(
        api={"requests_per_minute": 1_000_000},
        providers={"127.0.0.1": {"auth_failures_per_hour": 5}},
    )
    phones = [await enabled(empty_town, f"user{n}", "guess") for n in range(12)]
    for phone in phones[:5]:
        await empty_town.state(phone, "unauthorized")
    await enabled(empty_town, "honest", "right")
    assert len(answers(empty_town)) <= 6
