"""Who a push goes to."""

from dataclasses import replace

from sipis.model import Environment
from sipis.relay.addressing import addressed
from sipis.store import targets
from tests.support.relay import ALERT, VOIP, House


async def test_targets_keep_their_place_and_dead_ones_get_nothing(house: House) -> None:
    phone = await house.enable()
    rows = await house.store.read(targets.list_for, phone.n)
    rows[0] = replace(rows[0], dead=True)
    found = addressed((VOIP, ALERT), rows, house.vault)
    assert [one.index for one in found] == [1]


async def test_the_environment_that_worked_wins_over_what_the_app_said(house: House) -> None:
    phone = await house.enable()
    rows = await house.store.read(targets.list_for, phone.n)
    learnt = [replace(row, environment=Environment.SANDBOX, last_ok_at=1.0) for row in rows]
    for one in addressed((VOIP, ALERT), learnt, house.vault):
        assert one.target.environment is Environment.SANDBOX
        assert one.ever_accepted
