"""S7: whoever forges a source never makes us send there more than he sent himself."""

import itertools
import random
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from sipis.sip.flow import Door
from sipis.transport.udp import UdpSocket
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.raw import Raw, door_of, metric, request, until
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
        for _ in range(100):
            uri = chance.choice([*known, "sip:100@127.0.0.1", "sip:" + "f" * 32 + "@sipis"])
            padding = [("Subject", "x" * chance.choice([1, 50, 200, 2000]))]
            data = request(chance.choice(METHODS), uri, headers=padding)
            for _ in range(chance.choice([1, 1, 3])):
                forger.send(data[: chance.choice([len(data), len(data), 80])], where)
        # An answer is paid for by the last datagram of its source; a storm may end in a cut one.
        forger.send(request("REGISTER", known[0], headers=[("Subject", "x" * 400)]), where)
        assert (await town.provider.options("alice")).status == 200
        await town.server._ground.store.read(lambda _: None)
        if door is Door.APP:
            await until(lambda: bool(forger.drain()))
        forger.drain()
        assert forger.bytes_received <= forger.bytes_sent
        assert forger.received <= forger.sent
        assert (forger.received > 0) is (door is Door.APP)


def foreign(town: Town) -> float:
    """How many strangers at the app door were left without an answer."""
    return metric(town.server, "foreign_requests_total", door=Door.APP.value)


def decided(forger: Raw, town: Town, silenced: int) -> bool:
    """Whether the forger was answered, or left without an answer as one more than before."""
    return bool(forger.drain()) or foreign(town) > silenced


async def test_no_answer_is_larger_than_what_it_answers(empty_town: Town) -> None:
    town = empty_town
    await town.serve(sip={"app_listeners": ["udp:127.0.0.1:0"]})
    phone = await town.asleep(temper=Temper.IGNORE)
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    assert town.server is not None
    where = door_of(town.server, Door.APP)
    answered: list[bool] = []
    for size in (1, 20, 40, 60, 80, 100, 200, 400):
        with Raw() as forger:
            data = request("REGISTER", f"sip:{relay['username']}@sipis",
                           headers=[("Subject", "x" * size)])  # fmt: skip
            forger.send(data, where)
            await until(partial(decided, forger, town, answered.count(False)))
            assert forger.bytes_received <= len(data)
            answered.append(forger.received > 0)
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


@dataclass(frozen=True)
class Habit:
    """What a forger asks at which door, with how much padding, and how often each time."""

    door: Door
    method: str
    uri: str
    padding: int
    times: int


class Forger(Raw):
    """Says one thing in all its forms from an address of his own."""

    def __init__(self, host: str, habit: Habit, chance: random.Random) -> None:
        super().__init__(host)
        self.host = host
        self.habit = habit
        self._chance = chance
        self._said: list[bytes] = []

    def say(self) -> bytes:
        """Something new, or something that was said before: whole, cancelled, acknowledged, cut."""
        old = self._chance.choice(self._said) if self._said else b""
        kinds = [self._new(), self._new(), self._new(), old, old.replace(b"INVITE", b"CANCEL"),
                 old.replace(b"INVITE", b"ACK"), old[: len(old) // 2]]  # fmt: skip
        data = self._chance.choice(kinds) or self._new()
        self._said.append(data)
        return data

    def _new(self) -> bytes:
        own = f"UDP {self.host}:{self.port}"
        via = self._chance.choice([own, *(f"UDP {it}" for it in VICTIMS)])
        padding = [("Subject", "x" * self.habit.padding)]
        data = request(self.habit.method, self.habit.uri, via=via, headers=padding)
        return self._chance.choice([data, data, data.replace(b";rport", b"")])


def forgers(chance: random.Random, uris: list[str]) -> list[Forger]:
    """One for each habit."""
    habits = itertools.product(Door, ("REGISTER", "OPTIONS", "INVITE"), uris, (1, 40, 300), (1, 3))
    return [Forger(f"127.0.9.{n}", Habit(*one), chance) for n, one in enumerate(habits, 1)]


@pytest.mark.parametrize("seed", range(3))
async def test_over_a_minute_nobody_is_sent_more_than_came_in_his_name(
    tmp_path: Path, ledger: Ledger, seed: int
) -> None:
    chance = random.Random(seed)
    async with a_house(tmp_path) as house:
        phone = await house.enable()
        login = f"sip:{house.logins[phone.n].username}@sipis"
        uris = [login, phone.contact, "sip:" + "f" * 32 + "@sipis"]
        with ExitStack() as open_:
            people = [open_.enter_context(forger) for forger in forgers(chance, uris)]
            for forger in chance.choices(people, k=1000):
                data = forger.say()
                for _ in range(forger.habit.times):
                    forger.send(data, house.door(forger.habit.door))
                    ledger.came[forger.host].append(len(data))
                await house.clock.advance(chance.choice([0.0, 0.01, 0.2]))
            await house.clock.advance(60)
            assert ledger.debtors() == []
            assert set(ledger.left) <= {it.host for it in people if it.habit.door is Door.APP}
            assert ledger.left
