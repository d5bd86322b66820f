"""Who is told what, and for how long."""

import pytest

from sipis.observe.metrics import Metrics
from sipis.sip.events import (
    AckMissing,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
)
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Response
from sipis.transport.dispatch import LATE_ANSWERS, MOST_INVITES, Dispatch
from tests.support.transport import build_request

FLOW = Flow(1, Door.APP, Transport.TCP, ("127.0.0.1", 5070), ("127.0.0.2", 40_000))


def response(status: int, method: str = "INVITE", transaction: str = "t") -> ResponseReceived:
    message = Response.build(status, "Reason", [("CSeq", f"1 {method}")])
    return ResponseReceived(message, transaction, FLOW)


@pytest.fixture
def dispatch() -> Dispatch:
    return Dispatch(Metrics())


def test_provisional_responses_and_the_final_one_reach_their_handler(dispatch: Dispatch) -> None:
    told: list[object] = []
    dispatch.expect("t", told.append)
    events = [response(100, "REGISTER"), response(200, "REGISTER"), response(200, "REGISTER")]
    for event in events:
        dispatch.response(event, 0.0)
    assert told == events[:2]
    assert dispatch.waiting == 0


def test_a_second_fork_of_an_invite_is_told_until_none_can_come(dispatch: Dispatch) -> None:
    told: list[object] = []
    dispatch.expect("t", told.append)
    dispatch.response(response(200), 0.0)
    dispatch.response(response(200), LATE_ANSWERS - 1)
    assert len(told) == 2
    dispatch.expect("other", told.append)
    dispatch.response(response(486, transaction="other"), 2 * LATE_ANSWERS)
    assert dispatch.waiting == 0


def test_an_end_without_a_response_is_told_once(dispatch: Dispatch) -> None:
    told: list[object] = []
    dispatch.expect("t", told.append)
    dispatch.failure(RequestTimedOut("t"))
    dispatch.failure(RequestFailed("t", "flow lost"))
    assert told == [RequestTimedOut("t")]


def test_a_forgotten_transaction_tells_nobody(dispatch: Dispatch) -> None:
    told: list[object] = []
    dispatch.expect("t", told.append)
    dispatch.forget("t")
    dispatch.response(response(200), 0.0)
    assert told == []


def test_a_missing_ack_belongs_to_the_door_of_its_invite(dispatch: Dispatch) -> None:
    told: list[object] = []
    dispatch.on_request[Door.APP] = told.append
    dispatch.request(RequestReceived(build_request("INVITE"), FLOW, "t"))
    dispatch.ack_missing(AckMissing("t"))
    dispatch.ack_missing(AckMissing("t"))
    assert told[1:] == [AckMissing("t")]


def test_a_door_without_a_handler_swallows_its_requests(dispatch: Dispatch) -> None:
    dispatch.request(RequestReceived(build_request("OPTIONS"), FLOW, "t"))


def test_no_ack_is_missing_for_an_invite_whose_transaction_has_ended(dispatch: Dispatch) -> None:
    told: list[object] = []
    dispatch.on_request[Door.APP] = told.append
    for name in ("lives", "ended"):
        dispatch.request(RequestReceived(build_request("INVITE"), FLOW, name))
    dispatch.forget_ended(lambda name: name == "lives")
    told.clear()
    for name in ("lives", "ended"):
        dispatch.ack_missing(AckMissing(name))
    assert told == [AckMissing("lives")]


def test_invites_are_remembered_within_bounds(dispatch: Dispatch) -> None:
    event = build_request("INVITE")
    for number in range(MOST_INVITES + 5):
        dispatch.request(RequestReceived(event, FLOW, str(number)))
    assert len(dispatch._invites) == MOST_INVITES
