from tests.support.lifecycle import House


async def test_names_are_fresh_and_random(house: House) -> None:
    names = {house.lifecycle._means.name() for _ in range(100)}
    assert len(names) == 100
    assert {len(bytes.fromhex(name)) for name in names} == {16}
