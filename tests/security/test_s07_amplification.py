"""S7: whoever forges a source never makes us send there more than he sent himself."""

import random
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from sipis.sip.flow import Door
from sipis.transport.udp import UdpSocket
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.raw import Raw, door_of, request
from tests.support.relay import a_house

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


SOURCES = tuple(f"127.0.9.{number}" for number in range(1, 13))
VICTIMS = (
    "127.0.8.1",
    "127.0.8.2:5060",
    "127.0.8.3;received=127.0.8.4",
    "127.0.8.5;maddr=127.0.8.6",
)
"""Whom somebody forges into a Via, beside his own address."""


class Ledger:
    """Bytes and datagrams by host: what came from it and what was sent to it, to any port."""

    def __init__(self) -> None:
        self.came: dict[str, list[int]] = defaultdict(list)
        self.left: dict[str, list[int]] = defaultdict(list)

    def debtors(self) -> list[str]:
        """The hosts that were sent more than came from them, in bytes or in datagrams."""
        return [
            host for host, sent in self.left.items()
            if sum(sent) > sum(self.came[host]) or len(sent) > len(self.came[host])
        ]  # fmt: skip


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Keeps the books of every datagram that a server in this process sends."""
    ledger, send = Ledger(), UdpSocket.send

    def noted(self: UdpSocket, data: bytes, remote: tuple[str, int]) -> None:
        ledger.left[remote[0]].append(len(data))
        send(self, data, remote)

    monkeypatch.setattr(UdpSocket, "send", noted)
    return ledger


class Forger(Raw):
    """Sends whatever is not owed an answer larger than itself."""

    def __init__(self, host: str, chance: random.Random, known: list[str]) -> None:
        super().__init__(host)
        self.host = host
        self._chance = chance
        self._known = known
        self._said: list[bytes] = []

    def say(self) -> bytes:
        """Something new, or something that was said before: whole, cut, cancelled, acknowledged."""
        old = self._chance.choice(self._said) if self._said else b""
        kinds = [self._new(), self._new(), old, old.replace(b"INVITE", b"CANCEL"),
                 old.replace(b"INVITE", b"ACK"), old[: len(old) // 2]]  # fmt: skip
        data = self._chance.choice(kinds) or self._new()
        self._said.append(data)
        return data

    def _new(self) -> bytes:
        via = self._chance.choice(
            [f"UDP {self.host}:{self.port}", *(f"UDP {it}" for it in VICTIMS)]
        )
        uri = self._chance.choice([*self._known, "sip:100@127.0.0.1", "sip:" + "f" * 32 + "@sipis"])
        padding = [("Subject", "x" * self._chance.choice([1, 50, 300, 2000]))]
        data = request(self._chance.choice(METHODS), uri, via=via, headers=padding)
        return self._chance.choice([data, data, data.replace(b";rport", b"")])


@pytest.mark.parametrize("seed", range(3))
async def test_over_a_minute_nobody_is_sent_more_than_came_in_his_name(
    tmp_path: Path, ledger: Ledger, seed: int
) -> None:
    chance = random.Random(seed)
    async with a_house(tmp_path) as house:
        phone = await house.enable()
        known = [f"sip:{house.logins[phone.n].username}@sipis", phone.contact]
        with ExitStack() as open_:
            forgers = [open_.enter_context(Forger(host, chance, known)) for host in SOURCES]
            for _ in range(300):
                forger, door = chance.choice(forgers), chance.choice(list(Door))
                for data in [forger.say()] * chance.choice([1, 1, 4]):
                    forger.send(data, house.door(door))
                    ledger.came[forger.host].append(len(data))
                await house.clock.advance(chance.choice([0.0, 0.01, 0.6]))
            await house.clock.advance(60)
            assert ledger.debtors() == []
            assert set(ledger.left) <= set(SOURCES)
            assert sum(len(forger.drain()) for forger in forgers) > 0
