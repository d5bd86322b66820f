"""D1: after the answer no file holds the markers, the data keys or the sealed records."""

from sipis.model import DeletionReason
from tests.deletion.conftest import Estate


async def test_d1_after_the_answer_no_file_holds_a_byte_of_it(estate: Estate) -> None:
    leaver, stayer = await estate.let(), await estate.let()
    assert estate.traces(leaver) != []  # the control: sealed records are seen while they are held
    answer = await estate.house.lifecycle.disable(leaver.enabled.row.id, leaver.enabled.secret)
    assert answer is not None
    assert estate.traces(leaver) == []
    assert estate.traces(stayer) != []


async def test_d1_nor_of_what_it_had_before_it_was_sealed_anew(estate: Estate) -> None:
    tenant = await estate.let()
    for _ in range(3):
        row = await estate.house.lifecycle.refresh(tenant.enabled.row, None, ())
        assert row is not None
        await estate.learn(tenant)
    await estate.house.lifecycle.disable(tenant.enabled.row.id, tenant.enabled.secret)
    assert estate.traces(tenant) == []


async def test_d1_holds_for_every_reason(estate: Estate) -> None:
    destroy = estate.house.lifecycle._destruction.destroy
    for reason in DeletionReason:
        tenant = await estate.let()
        await destroy([tenant.enabled.row], reason)
        assert estate.traces(tenant) == [], reason


async def test_d23_a_removed_app_leaves_nothing_of_any_instance(estate: Estate) -> None:
    tenants = [await estate.let() for _ in range(12)]
    removed = await estate.house.lifecycle.remove_app(tenants[0].enabled.row.app)
    assert removed == 12
    assert estate.traces(tenants) == []
