from dataclasses import replace

from sipis.lifecycle.herald import Herald
from sipis.model import PushEvent
from sipis.relay.names import target_name
from sipis.store import targets
from tests.support.lifecycle import House
from tests.support.vault import TOKEN, VOIP


def herald(house: House) -> Herald:
    return Herald(house.lifecycle._means)


async def test_a_message_names_the_instance_and_carries_no_person(house: House) -> None:
    enabled = await house.enable(preview=True)
    message = await herald(house).compose(enabled.row.n, PushEvent.EXPIRING)
    assert message is not None
    assert message.notification.instance == enabled.row.id
    assert message.notification.event is PushEvent.EXPIRING
    assert [target.target for target in message.targets] == [VOIP, TOKEN]
    assert dict(message.notification.payload)["node"] == "home"
    assert "alice" not in str(dict(message.notification.payload))
    assert TOKEN.token not in repr(message)


async def test_dead_tokens_are_not_addressed(house: House) -> None:
    other = replace(TOKEN, token="other")
    enabled = await house.enable(targets=(TOKEN, other))
    await house.store.write(targets.mark_dead, enabled.row.n, house.vault.index(target_name(TOKEN)))
    message = await herald(house).compose(enabled.row.n, PushEvent.TEST)
    assert message is not None
    assert [(one.index, one.target) for one in message.targets] == [(1, other)]


async def test_there_is_nobody_to_tell_without_row_key_or_target(house: House) -> None:
    ended, lost = await house.enable(), await house.enable(targets=())
    bare = await house.enable(targets=())
    await house.lifecycle.delete(ended.row.id)
    await house.vault.destroy([lost.row])
    for enabled in (ended, lost, bare):
        assert await herald(house).tell(enabled.row.n, PushEvent.TEST) is None
