from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from sipis.lifecycle import Enabled
from sipis.model import Account, Environment, PushTarget, TargetKind
from sipis.push.outcome import DeadTarget
from sipis.push.provider import AddressedTarget
from sipis.store import targets
from tests.support.lifecycle import House
from tests.support.vault import TOKEN, VOIP

GONE = DeadTarget("Unregistered")


async def died(
    house: House, enabled: Enabled, dead: Sequence[PushTarget], word: DeadTarget = GONE
) -> None:
    for number, target in enumerate(dead):
        addressed = AddressedTarget(enabled.row.n, number, target, house.clock.wall())
        house.lifecycle.target_died(addressed, word)
    await house.clock.advance(1)


async def worked(
    house: House,
    enabled: Enabled,
    target: PushTarget,
    environment: Environment = Environment.PRODUCTION,
) -> None:
    addressed = AddressedTarget(enabled.row.n, 0, target, house.clock.wall())
    house.lifecycle.target_worked(addressed, environment)
    await house.clock.advance(1)


async def test_a_success_is_noted_with_the_environment_that_had_it(house: House) -> None:
    enabled = await house.enable()
    for target in (VOIP, TOKEN):
        await worked(house, enabled, target, Environment.SANDBOX)
    apple, google = await house.store.read(targets.list_for, enabled.row.n)
    assert (apple.environment, google.environment) == (Environment.SANDBOX, None)
    assert None not in (apple.last_ok_at, google.last_ok_at)


async def test_the_next_push_goes_where_the_last_one_was_taken(house: House) -> None:
    alert = replace(VOIP, kind=TargetKind.ALERT, environment=Environment.PRODUCTION)
    enabled = await house.enable(targets=(alert,))
    await worked(house, enabled, alert, Environment.SANDBOX)
    await house.lifecycle.push_test(enabled.row)
    [addressed] = house.announcer.pushed[-1][1]
    assert addressed.target == replace(alert, environment=Environment.SANDBOX)
    assert addressed.ever_accepted


async def test_d19_the_last_dead_token_ends_the_instance_within_seconds(house: House) -> None:
    enabled = await house.enable()
    await died(house, enabled, [VOIP])
    assert await house.row(enabled) is not None
    await died(house, enabled, [TOKEN])
    assert await house.row(enabled) is None
    receipt = await house.lifecycle.receipt(enabled.row.commitment)
    assert receipt is not None
    assert receipt.reason == "push_gone"


async def test_a_token_given_to_us_after_the_time_of_its_death_lives_on(house: House) -> None:
    enabled = await house.enable(targets=(VOIP,))
    before = DeadTarget("Unregistered", since=house.clock.wall() - 60)
    await died(house, enabled, [VOIP], before)
    assert await house.row(enabled) is not None
    after = DeadTarget("Unregistered", since=house.clock.wall() + 60)
    await died(house, enabled, [VOIP], after)
    assert await house.row(enabled) is None


async def test_a_token_that_is_no_longer_the_stored_one_changes_nothing(house: House) -> None:
    enabled = await house.enable(targets=(VOIP,))
    await died(house, enabled, [replace(VOIP, token="ab" * 32)])
    assert await house.row(enabled) is not None


async def test_a_bad_token_that_once_succeeded_lives_on(house: House) -> None:
    enabled = await house.enable(targets=(VOIP,))
    await worked(house, enabled, VOIP)
    bad = DeadTarget("BadDeviceToken", other_environment=True)
    await died(house, enabled, [VOIP], bad)
    assert await house.row(enabled) is not None
    await died(house, enabled, [VOIP])
    assert await house.row(enabled) is None


@pytest.mark.parametrize("count", [19, 30])
async def test_when_many_die_together_destroying_stops_and_an_alarm_rises(
    house: House, count: int
) -> None:
    phones = []
    for number in range(count):
        token = replace(TOKEN, token=f"token-{number}")
        account = Account(f"sip:{number}@example.org")
        phones.append((await house.enable(account=account, targets=(token,)), token))
    with capture_logs() as logs:
        for enabled, token in phones:
            await died(house, enabled, [token])
    left = [enabled for enabled, _ in phones if await house.row(enabled) is not None]
    assert len(left) == max(0, count - 19)
    alarms = [entry for entry in logs if entry["event"] == "too many dead targets"]
    assert len(alarms) == len(left)


async def test_the_word_about_an_ended_instance_is_ignored(house: House) -> None:
    enabled = await house.enable()
    await house.lifecycle.delete(enabled.row.id)
    await died(house, enabled, [VOIP, TOKEN])
    assert await house.row(enabled) is None
