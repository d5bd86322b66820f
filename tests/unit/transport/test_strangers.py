"""Strangers and peers at both doors."""

from dataclasses import dataclass, field

import pytest

from sipis.sip.flow import Door, Flow, Transport
from sipis.transport.strangers import MOST_ACQUAINTANCES, Strangers
from sipis.transport.throttle import Rate


def flow(
    host: str = "192.0.2.1",
    *,
    door: Door = Door.APP,
    transport: Transport = Transport.UDP,
) -> Flow:
    return Flow(1, door, transport, ("192.0.2.99", 5060), (host, 40_000), "")


@dataclass
class Books:
    """What the transport knows of flows."""

    held: set[Flow] = field(default_factory=set)
    allowance: int = 0

    def spend(self, size: int, _: Flow) -> bool:
        self.allowance -= size
        return self.allowance >= 0


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def strangers(books: Books) -> Strangers:
    return Strangers(Rate(1.0, 1.0), held=lambda it: it in books.held, spend=books.spend)


def test_a_stranger_who_sends_too_much_is_not_heard_until_time_has_passed(
    strangers: Strangers,
) -> None:
    assert [strangers.may_speak(flow(), now) for now in (0.0, 0.1, 1.2)] == [True, False, True]


def test_a_host_that_we_wrote_to_is_always_heard_and_is_a_stranger_all_the_same(
    strangers: Strangers,
) -> None:
    strangers.acquaint("192.0.2.1")
    assert all(strangers.may_speak(flow(), 0.0) for _ in range(10))
    assert strangers.get_silence(flow())


def test_acquaintances_are_bounded_and_the_oldest_is_forgotten(strangers: Strangers) -> None:
    for number in range(MOST_ACQUAINTANCES + 1):
        strangers.acquaint(f"host-{number}")
    strangers.may_speak(flow("host-0"), 0.0)
    assert not strangers.may_speak(flow("host-0"), 0.0)
    assert all(strangers.may_speak(flow("host-1"), 0.0) for _ in range(3))


@pytest.mark.parametrize(
    ("door", "transport", "silent"),
    [
        (Door.PROVIDER, Transport.UDP, True),
        (Door.PROVIDER, Transport.TCP, True),
        (Door.APP, Transport.UDP, True),
        (Door.APP, Transport.TLS, False),
    ],
)
def test_only_an_app_on_a_connection_gets_an_answer_before_it_is_known(
    strangers: Strangers, door: Door, transport: Transport, silent: bool
) -> None:
    assert strangers.get_silence(flow(door=door, transport=transport)) is silent


@pytest.mark.parametrize("how", ["vouched for", "held"])
def test_a_peer_is_heard_answered_and_never_short_changed(
    strangers: Strangers, books: Books, how: str
) -> None:
    if how == "held":
        books.held.add(flow())
    else:
        strangers.trusted = lambda it: it == flow()
    assert all(strangers.may_speak(flow(), 0.0) for _ in range(10))
    assert not strangers.get_silence(flow())
    assert not strangers.would_gain(10_000, flow())


def test_a_stranger_over_udp_gets_no_more_bytes_than_came_in_its_name(
    strangers: Strangers, books: Books
) -> None:
    books.allowance = 500
    assert [strangers.would_gain(300, flow()) for _ in range(2)] == [False, True]
    books.allowance = 0
    assert not strangers.would_gain(300, flow(transport=Transport.TCP))
