"""S22: labels come from fixed sets, so the number of series does not grow with what happens."""

import pytest

from sipis.sip.flow import Door
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.raw import Raw, door_of, request

pytestmark = pytest.mark.timeout(30)

MOST = 500


def series(town: Town) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series that a scrape shows."""
    assert town.server is not None
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in town.server._ground.metrics.registry.collect()
        for sample in family.samples
    }


async def one_round(town: Town, number: int) -> None:
    """Something of everything, under names of its own."""
    user = f"user{number}"
    phone = await town.asleep(user, temper=Temper.DECLINE_OVER_HTTP)
    caller = town.provider.call(user, caller=f"caller{number}")
    await town.pushed(phone, "call")
    await caller.final
    await town.provider.message(user, f"text {number}")
    for path in (f"/v1/{user}", f"/v1/instances/{user}", f"/{number}"):
        await phone.http("GET", path)
    assert town.server is not None
    with Raw() as scanner:
        for method in ("OPTIONS", f"METHOD{number}"):
            where = door_of(town.server, Door.PROVIDER)
            scanner.send(request(method, f"sip:{user}@x"), where)
            scanner.send(f"junk {number}".encode(), where)
    await phone.disable()
    assert (await town.provider.registrar.accepted.next()) is not None


async def test_the_number_of_series_is_bounded_and_names_nobody(town: Town) -> None:
    await one_round(town, 1)
    await one_round(town, 2)
    settled = series(town)
    for number in range(3, 9):
        await one_round(town, number)
    assert len(series(town)) <= MOST
    values = {value for _, labels in series(town) - settled for _, value in labels}
    assert not [value for value in values if "user" in value or "caller" in value]
    assert len(series(town) - settled) <= 5
