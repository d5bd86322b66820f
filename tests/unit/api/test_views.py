"""What apps and operators are shown."""

import math
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from sipis.api.views import instance_answer, optional_time, state_of, time_of
from sipis.clock import ManualClock
from sipis.model import InstanceState
from sipis.store import lookup
from sipis.store.lookup import InstanceRow
from tests.support.lifecycle import House, build, running, settings
from tests.support.store import set_state

HOUR = 3600.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(build(tmp_path / "data", ManualClock(), settings(tmp_path))) as house:
        yield house


async def standing(house: House, state: InstanceState, ttl: float) -> InstanceRow:
    enabled = await house.enable(ttl=ttl)
    n, now = enabled.row.n, house.clock.wall()
    await house.store.write(set_state, n, state, "", now)
    row = await house.store.read(lookup.by_n, n, now)
    assert row is not None
    return row


def test_times_are_utc_to_the_second() -> None:
    assert time_of(1_800_000_000.4) == "2027-01-15T08:00:00Z"
    assert datetime.fromisoformat(time_of(0.0)).timestamp() == 0


@pytest.mark.parametrize("never", [None, math.inf, -math.inf])
def test_never_is_no_time(never: float | None) -> None:
    assert optional_time(never) is None


@pytest.mark.parametrize(
    ("ttl", "left", "shown"),
    [
        (48 * HOUR, 13 * HOUR, InstanceState.REGISTERED),
        (48 * HOUR, 11 * HOUR, InstanceState.EXPIRING),
        (2 * HOUR, 1.5 * HOUR, InstanceState.REGISTERED),
        (2 * HOUR, 0.5 * HOUR, InstanceState.EXPIRING),
    ],
)
async def test_a_registered_instance_near_its_end_is_expiring(
    house: House, ttl: float, left: float, shown: InstanceState
) -> None:
    row = await standing(house, InstanceState.REGISTERED, ttl)
    assert state_of(row, row.expires_at - left) is shown


async def test_trouble_is_not_hidden_behind_the_coming_end(house: House) -> None:
    row = await standing(house, InstanceState.UNAUTHORIZED, HOUR)
    assert state_of(row, row.expires_at - 1) is InstanceState.UNAUTHORIZED


async def test_an_answer_has_no_account_and_no_hash(house: House) -> None:
    row = await standing(house, InstanceState.REGISTERED, HOUR)
    text = instance_answer(row, row.created_at).model_dump_json()
    for private in (row.secret_hash.hex(), row.contact_token, row.call_id, row.relay_user,
                    row.aor_index.hex(), row.registrar):  # fmt: skip
        assert private not in text
