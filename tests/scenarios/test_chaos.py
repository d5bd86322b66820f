"""A push service on its worst days: every call ends with an answer or a reason, nothing crashes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sipis.world.chaos import Chaos
from sipis.world.fcm import FcmMischief
from sipis.world.handset import Handset, Temper
from sipis.world.stage import Stage, sipis_of
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(60)

CALLS = 12


@pytest.fixture(params=[1, 2])
async def wild_town(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with AsyncExitStack() as open_:
        stage = await open_.enter_async_context(Stage(tmp_path))
        dice = dict.fromkeys(FcmMischief, 0.15)
        stage.fcm._chaos = Chaos(request.param, dice)
        town = Town(tmp_path, stage, open_)
        open_.push_async_callback(town.stop)
        await town.serve(policy={"calls_per_minute": 100})
        yield town


async def react(town: Town, phones: list[Handset]) -> None:
    """Let every phone react to its pushes, for ever."""
    by_token = {phone.push_token: phone for phone in phones}
    while True:
        message = await town.stage.fcm.pushes.next()
        if message.target in by_token:
            await by_token[message.target].push(sipis_of(message.data))


async def test_every_call_ends_with_an_answer_or_a_reason(wild_town: Town) -> None:
    town = wild_town
    with capture_logs() as logs:
        phones = [await enabled(town, f"user{number}") for number in range(4)]
        reacting = asyncio.ensure_future(react(town, phones))
        for user in range(4):
            while not town.provider.registrar.bindings(f"user{user}"):
                await town.provider.registrar.accepted.next()
        finals = []
        for number in range(CALLS):
            caller = town.provider.call(f"user{number % 4}")
            finals.append((await caller.final).status)
            if finals[-1] == 200:
                assert (await caller.bye()).status == 200
        reacting.cancel()
    assert set(finals) <= {200, 480, 486}
    assert finals.count(200) >= CALLS // 3
    assert [line for line in logs if line["event"] == "crashed"] == []


async def enabled(town: Town, user: str) -> Handset:
    tempers = [Temper.ANSWER, Temper.ANSWER, Temper.DECLINE, Temper.IGNORE]
    phone = await town.phone(tempers[int(user[-1])])
    account = {"aor": town.provider.add(user, "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    assert (await phone.enable(account)).status == 201
    return phone
