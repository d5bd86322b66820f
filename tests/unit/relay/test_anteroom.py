"""Requests that come before the calls of the last process are taken up."""

from collections.abc import Callable

import pytest

from sipis.relay import anteroom
from sipis.relay.anteroom import Anteroom, Event
from sipis.sip.events import CancelReceived, RequestReceived
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request

FLOW = Flow(1, Door.PROVIDER, Transport.UDP, ("192.0.2.1", 5060), ("192.0.2.9", 5060))


class Tools:
    def __init__(self) -> None:
        self.ignored: list[Event] = []

    def ignore(self, event: RequestReceived) -> None:
        self.ignored.append(event)


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
def room(tools: Tools) -> Anteroom:
    return Anteroom(tools)  # type: ignore[arg-type]


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def enter(room: Anteroom, heard: list[Event]) -> Callable[[Event], None]:
    return room.before(heard.append)


def request(method: str, to: str) -> RequestReceived:
    return RequestReceived(Request.build(method, "sip:a@192.0.2.1", [("To", to)]), FLOW, "t")


def inside(method: str = "BYE") -> RequestReceived:
    return request(method, "<sip:a@192.0.2.1>;tag=ours")


def test_what_belongs_to_a_call_waits_and_enters_in_the_order_of_coming(
    room: Anteroom, enter: Callable[[Event], None], heard: list[Event]
) -> None:
    came = [inside("INFO"), inside("BYE")]
    for each in came:
        enter(each)
    assert heard == []
    room.open()
    assert heard == came


def test_what_begins_something_new_does_not_wait(
    enter: Callable[[Event], None], heard: list[Event]
) -> None:
    cancel = CancelReceived(inside("CANCEL").request, FLOW, "t")
    came: list[Event] = [request("INVITE", "<sip:a@192.0.2.1>"), cancel]
    for each in came:
        enter(each)
    assert heard == came


def test_later_nobody_waits(
    room: Anteroom, enter: Callable[[Event], None], heard: list[Event]
) -> None:
    room.open()
    enter(inside())
    assert len(heard) == 1
    room.open()
    assert len(heard) == 1


def test_who_finds_a_crowd_waiting_goes_away_and_may_come_again(
    room: Anteroom,
    enter: Callable[[Event], None],
    heard: list[Event],
    tools: Tools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(anteroom, "MOST_WAITING", 2)
    came = [inside() for _ in range(3)]
    for each in came:
        enter(each)
    assert tools.ignored == came[2:]
    room.open()
    assert heard == came[:2]
