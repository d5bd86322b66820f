"""S7: whoever forges a source never makes us send there more than he sent himself."""

import random

import pytest

from sipis.sip.flow import Door
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.raw import Raw, door_of, request

pytestmark = pytest.mark.timeout(30)

METHODS = ("REGISTER", "OPTIONS", "INVITE", "MESSAGE", "BYE", "CANCEL", "ACK", "SUBSCRIBE")


@pytest.mark.parametrize("door", list(Door))
async def test_no_more_bytes_or_packets_leave_than_came(empty_town: Town, door: Door) -> None:
    town = empty_town
    await town.serve(sip={"app_listeners": ["udp:127.0.0.1:0"]})
    phone = await town.asleep(temper=Temper.IGNORE)
    [binding] = town.provider.registrar.bindings("alice")
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    known = [f"sip:{relay['username']}@sipis", str(binding.contact.uri)]
    assert town.server is not None
    where, chance = door_of(town.server, door), random.Random(7)
    with Raw() as forger:
        for _ in range(150):
            uri = chance.choice([*known, "sip:100@127.0.0.1", "sip:" + "f" * 32 + "@sipis"])
            padding = [("Subject", "x" * chance.choice([1, 50, 200, 2000]))]
            data = request(chance.choice(METHODS), uri, headers=padding)
            for _ in range(chance.choice([1, 1, 3])):
                forger.send(data[: chance.choice([len(data), len(data), 80])], where)
        assert (await town.provider.options("alice")).status == 200
        await town.server._ground.store.read(lambda _: None)
        forger.drain()
        assert forger.bytes_received <= forger.bytes_sent
        assert forger.received <= forger.sent
        assert (forger.received > 0) is (door is Door.APP)


async def test_no_answer_is_larger_than_what_it_answers(empty_town: Town) -> None:
    town = empty_town
    await town.serve(sip={"app_listeners": ["udp:127.0.0.1:0"]})
    phone = await town.asleep(temper=Temper.IGNORE)
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    assert town.server is not None
    where, answered = door_of(town.server, Door.APP), []
    for size in (1, 20, 40, 60, 80, 100, 200, 400):
        with Raw() as forger:
            data = request("REGISTER", f"sip:{relay['username']}@sipis",
                           headers=[("Subject", "x" * size)])  # fmt: skip
            forger.send(data, where)
            assert (await town.provider.options("alice")).status == 200
            await town.server._ground.store.read(lambda _: None)
            assert (await town.provider.options("alice")).status == 200
            answers = forger.drain()
            assert all(len(answer) <= len(data) for answer in answers)
            answered.append(bool(answers))
    assert answered == sorted(answered)
    assert answered[-1]
    assert not answered[0]


async def test_an_unanswered_final_response_is_not_repeated_to_a_stranger(town: Town) -> None:
    await town.asleep(temper=Temper.IGNORE)
    [binding] = town.provider.registrar.bindings("alice")
    assert town.server is not None
    where = door_of(town.server, Door.PROVIDER)
    before = town.server._ground.endpoint.transactions
    with Raw() as forger:
        for _ in range(20):
            forger.send(request("INVITE", str(binding.contact.uri)), where)
        assert (await town.provider.options("alice")).status == 200
        await town.server._ground.store.read(lambda _: None)
        assert (await town.provider.options("alice")).status == 200
        assert forger.drain() == []
    assert town.server._ground.endpoint.transactions - before <= 2
