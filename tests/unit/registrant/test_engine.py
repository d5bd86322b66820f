"""The registrant against a registrar on loopback."""

from sipis.model import InstanceState
from tests.support.registrar import Stage


async def test_a_new_phone_is_registered_with_one_answered_challenge(stage: Stage) -> None:
    n = await stage.add_phone()
    row = await stage.registered(n)
    assert row.state is InstanceState.REGISTERED
    assert len(stage.registrar.requests) == 2
    assert list(stage.registrar.bindings.values()) == [row.contact_token]
    assert stage.told.states == [(n, InstanceState.REGISTERED, "")]
