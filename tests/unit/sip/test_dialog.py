import json
from collections.abc import Callable, Sequence

import pytest

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.dialog import TABLE, Dialog, DialogInput, DialogState
from sipis.sip.message import Request, Response, response_to

Make = Callable[..., Request]
Pairs = Sequence[tuple[str, str]]

P1, P2 = "<sip:p1.example;lr>", "<sip:p2.example;lr;x=1>"


def answer(
    request: Request, status: int = 200, *, contact: str | None = "<sip:bob@192.0.2.9>"
) -> Response:
    response = response_to(request, status, to_tag="bob")
    if contact is not None:
        response.headers.add("Contact", contact)
    return response


def routed(make: Make, *routes: str) -> Request:
    return make(extra=[("Record-Route", route) for route in routes])


@pytest.fixture
def uac(make_request: Make) -> Dialog:
    """Alice's side, two proxies on the way, the callee's next to her last."""
    request = routed(make_request, P2, P1)
    return Dialog.uac(request, answer(request))


@pytest.fixture
def uas(make_request: Make) -> Dialog:
    """Bob's side of the same."""
    return Dialog.uas(routed(make_request, P2, P1), "bob", contact="<sip:bob@192.0.2.9>")


def test_the_caller_takes_its_side_from_request_and_response(uac: Dialog) -> None:
    assert uac.id == ("call-1", "alice", "bob")
    assert (str(uac.local_uri), str(uac.remote_uri)) == (
        "sip:alice@example.com",
        "sip:bob@example.com",
    )
    assert str(uac.remote_target) == "sip:bob@192.0.2.9"
    assert (uac.local_seq, uac.remote_seq) == (1, None)
    assert uac.state is DialogState.CONFIRMED


def test_the_callee_takes_its_side_from_the_request(uas: Dialog) -> None:
    assert uas.id == ("call-1", "bob", "alice")
    assert str(uas.remote_target) == "sip:alice@192.0.2.1:5060"
    assert (uas.local_seq, uas.remote_seq) == (None, 1)
    assert uas.state is DialogState.EARLY


def test_the_caller_reverses_the_record_route_and_the_callee_keeps_it(
    uac: Dialog, uas: Dialog
) -> None:
    assert [str(route) for route in uac.route_set] == [P1, P2]
    assert [str(route) for route in uas.route_set] == [P2, P1]


def test_routes_in_one_line_and_in_many_are_the_same(make_request: Make) -> None:
    one = routed(make_request, f"{P2}, {P1}")
    assert (
        Dialog.uas(one, "bob").route_set
        == Dialog.uas(routed(make_request, P2, P1), "bob").route_set
    )


def test_a_provisional_opens_an_early_dialog(make_request: Make) -> None:
    request = make_request()
    assert Dialog.uac(request, answer(request, 180)).state is DialogState.EARLY


def test_a_response_without_contact_leaves_the_request_uri_as_target(make_request: Make) -> None:
    request = make_request()
    assert Dialog.uac(request, answer(request, 180, contact=None)).remote_target == request.uri


def test_a_request_without_contact_opens_nothing_and_is_owed_400(make_request: Make) -> None:
    request = make_request()
    request.headers.remove("Contact")
    with pytest.raises(RemoteProtocolError) as caught:
        Dialog.uas(request, "bob")
    assert caught.value.status_hint == 400


def test_a_peer_without_tags_is_taken_as_it_is(make_request: Make) -> None:
    dialog = Dialog.uas(make_request(from_tag=None), "bob")
    dialog.confirm()
    assert dialog.remote_tag is None
    assert dialog.request("BYE").headers.get("To") == "<sip:alice@example.com>"


def test_a_request_goes_along_loose_routers_to_the_target(uac: Dialog) -> None:
    bye = uac.request("BYE")
    assert bye.uri_text == "sip:bob@192.0.2.9"
    assert [str(route) for route in bye.routes] == [P1, P2]
    assert (bye.from_.tag, bye.to.tag, bye.call_id) == ("alice", "bob", "call-1")
    assert str(bye.cseq) == "2 BYE"
    assert bye.max_forwards == 70
    assert "Via" not in bye.headers
    assert str(uac.next_hop) == "sip:p1.example;lr"


def test_a_strict_router_gets_itself_and_the_target_last(make_request: Make) -> None:
    """The example of RFC 3261 12.2.1.1."""
    routes = ["<sip:proxy1>", "<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>"]
    request = routed(make_request, *reversed(routes))
    dialog = Dialog.uac(request, answer(request, contact="<sip:user@remoteua>"))
    info = dialog.request("INFO")
    assert info.uri_text == "sip:proxy1"
    assert [str(route) for route in info.routes] == [
        "<sip:proxy2>",
        "<sip:proxy3;lr>",
        "<sip:proxy4>",
        "<sip:user@remoteua>",
    ]


def test_without_routes_a_request_goes_straight_to_the_target(make_request: Make) -> None:
    request = make_request()
    dialog = Dialog.uac(request, answer(request))
    assert "Route" not in dialog.request("BYE").headers
    assert str(dialog.next_hop) == "sip:bob@192.0.2.9"


def test_a_request_uri_loses_what_it_must_not_have(make_request: Make) -> None:
    request = make_request()
    contact = "<sip:bob@192.0.2.9;method=INVITE;ob?Subject=x>"
    dialog = Dialog.uac(request, answer(request, contact=contact))
    assert dialog.request("BYE").uri_text == "sip:bob@192.0.2.9;ob"


def test_a_target_of_another_scheme_is_taken_as_it_is(make_request: Make) -> None:
    request = make_request()
    dialog = Dialog.uac(request, answer(request, contact="<tel:+15551234>"))
    assert dialog.request("BYE").uri_text == "tel:+15551234"


def test_sequence_numbers_grow_by_one_and_an_ack_takes_its_invites(uac: Dialog) -> None:
    assert [uac.request("INFO").cseq.number for _ in range(3)] == [2, 3, 4]
    assert str(uac.ack(1).cseq) == "1 ACK"
    assert uac.request("BYE").cseq.number == 5


def test_a_callee_begins_its_own_sequence(uas: Dialog) -> None:
    uas.confirm()
    assert uas.request("BYE").cseq.number == 1


def test_target_refreshes_carry_our_contact_and_others_do_not(uas: Dialog) -> None:
    uas.confirm()
    assert uas.request("UPDATE").headers.get_all("Contact") == ["<sip:bob@192.0.2.9>"]
    assert "Contact" not in uas.request("BYE").headers
    given = uas.request("INVITE", headers=[("Contact", "<sip:new@192.0.2.9>")], body=b"sdp")
    assert given.headers.get_all("Contact") == ["<sip:new@192.0.2.9>"]
    assert given.body == b"sdp"


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_take_no_number_of_their_own(uac: Dialog, method: str) -> None:
    with pytest.raises(LocalProtocolError):
        uac.request(method)


def test_an_ended_dialog_sends_nothing_but_the_ack_and_takes_nothing(
    uac: Dialog, make_request: Make
) -> None:
    uac.terminate()
    with pytest.raises(LocalProtocolError):
        uac.request("BYE")
    assert uac.ack(1).method == "ACK"
    assert uac.receive(make_request("BYE", from_tag="bob", to_tag="alice")) == 481


def test_an_ended_dialog_stays_ended(uac: Dialog) -> None:
    uac.terminate()
    uac.confirm()
    assert uac.state is DialogState.TERMINATED


def test_a_refusal_ends_an_early_dialog_and_not_a_confirmed_one(uac: Dialog, uas: Dialog) -> None:
    uas.refuse()
    uac.refuse()
    assert (uas.state, uac.state) == (DialogState.TERMINATED, DialogState.CONFIRMED)


def test_nothing_leads_out_of_the_end_and_every_other_state_can_end() -> None:
    assert not any(state is DialogState.TERMINATED for state, _ in TABLE)
    for state in (DialogState.EARLY, DialogState.CONFIRMED):
        assert TABLE[state, DialogInput.END] is DialogState.TERMINATED


def test_every_state_of_the_table_is_reached_from_new() -> None:
    assert {state for state, _ in TABLE} <= {DialogState.NEW, *TABLE.values()}


def test_requests_of_the_peer_must_come_in_order(uas: Dialog, make_request: Make) -> None:
    def receive(cseq: int, method: str = "INFO") -> int | None:
        return uas.receive(make_request(method, cseq=cseq, to_tag="bob"))

    assert receive(5) is None
    assert receive(5) == 500
    assert receive(4) == 500
    assert uas.remote_seq == 5
    assert receive(9) is None
    assert receive(1, "ACK") is None
    assert uas.remote_seq == 9


@pytest.mark.parametrize(
    "difference", [{"to_tag": "x"}, {"from_tag": "x"}, {"call_id": "x"}, {"to_tag": None}]
)
def test_a_request_of_another_dialog_is_owed_481(
    uas: Dialog, make_request: Make, difference: dict[str, str | None]
) -> None:
    assert uas.receive(make_request("BYE", cseq=9, **{"to_tag": "bob", **difference})) == 481


def test_requests_and_responses_are_matched_from_our_side(
    uac: Dialog, uas: Dialog, make_request: Make
) -> None:
    bye = make_request("BYE", to_tag="bob")
    assert uas.matches(bye)
    assert not uac.matches(bye)
    assert uac.matches(response_to(bye, 200))
    assert not uas.matches(response_to(bye, 200))


def test_a_reinvite_moves_the_target_but_not_the_routes(uas: Dialog, make_request: Make) -> None:
    routes = uas.route_set
    moved = make_request(cseq=2, to_tag="bob", extra=[("Record-Route", "<sip:new;lr>")])
    moved.headers.set("Contact", "<sip:alice@198.51.100.1>")
    uas.refresh_target(moved)
    assert str(uas.remote_target) == "sip:alice@198.51.100.1"
    assert uas.route_set == routes


def test_a_bye_or_a_refused_reinvite_moves_nothing(uac: Dialog, make_request: Make) -> None:
    before = uac.remote_target
    uac.refresh_target(make_request("BYE"))
    uac.refresh_target(answer(make_request(), 486, contact="<sip:other@192.0.2.7>"))
    uac.refresh_target(answer(make_request(), 200, contact=None))
    assert uac.remote_target == before


def test_the_2xx_sets_routes_and_target_of_an_early_dialog_anew(make_request: Make) -> None:
    request = routed(make_request, P1)
    dialog = Dialog.uac(make_request(), answer(make_request(), 180, contact="<sip:early@x>"))
    assert list(dialog.route_set) == []
    dialog.confirm(answer(request, 200, contact="<sip:late@x>"))
    assert [str(route) for route in dialog.route_set] == [P1]
    assert str(dialog.remote_target) == "sip:late@x"
    assert dialog.state is DialogState.CONFIRMED


def test_a_dialog_survives_being_written_down(uac: Dialog) -> None:
    uac.request("INFO")
    assert Dialog.from_mapping(json.loads(json.dumps(uac.to_mapping()))) == uac
