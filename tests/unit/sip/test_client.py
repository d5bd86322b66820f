from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from sipis.errors import LocalProtocolError
from sipis.sip.client import MAX_FORKS, Clients, ClientTransaction, InviteClient
from sipis.sip.events import RequestFailed, RequestTimedOut, ResponseReceived
from sipis.sip.flow import Flow
from sipis.sip.machine import Outlet, TransactionWheel
from sipis.sip.message import Request, Response, parse_message, response_to
from sipis.sip.timers import Timer
from sipis.sip.transaction import CLIENT_CANCEL, CLIENT_INVITE, CLIENT_REQUEST, Input, State
from tests.support.machines import MachineBench

Make = Callable[..., Request]
S, In, T = State, Input, Timer

Effect = tuple[list[str], list[str], str, str, State]
"""First words sent, events told, pace and limit that run afterwards, next state."""


class Bench(MachineBench[ClientTransaction]):
    """Client transactions with the wire and the transaction user in sight."""

    def __init__(self, token: Callable[[], str], flow: Flow) -> None:
        wheel, outlet = TransactionWheel(), Outlet()
        self.clients = Clients(wheel, outlet, token)
        self.flow = flow
        super().__init__(wheel, outlet, self.clients, ClientTransaction)

    def start(self, request: Request, now: float = 0.0) -> str:
        return self.clients.start(request, self.flow, now, host="192.0.2.9", port=5060, rport=True)

    def answer(self, request: Request, status: int, tag: str = "theirs", now: float = 0.0) -> None:
        response = response_to(request, status, to_tag=tag)
        data = response.to_bytes()
        parsed = parse_message(data)
        assert isinstance(parsed, Response)
        self.clients.receive(parsed, hash(data), now)

    def sent(self) -> list[Request]:
        return [message for message in self.messages() if isinstance(message, Request)]


@pytest.fixture
def bench(token: Callable[[], str], udp: Flow) -> Bench:
    return Bench(token, udp)


@pytest.fixture
def reliable(token: Callable[[], str], tcp: Flow) -> Bench:
    return Bench(token, tcp)


@pytest.fixture
def request_of(make_request: Make) -> Make:
    def make(method: str) -> Request:
        request = make_request(method)
        request.headers.remove("Via")
        return request

    return make


INVITE_ROWS: dict[tuple[State, Input | Timer], Effect] = {
    (S.NEW, In.START): (["INVITE"], [], "timer A", "timer B", S.CALLING),
    (S.CALLING, T.A): (["INVITE"], [], "timer A", "", S.CALLING),
    (S.CALLING, T.B): ([], ["RequestTimedOut"], "", "", S.TERMINATED),
    (S.CALLING, In.PROVISIONAL): ([], ["ResponseReceived"], "", "", S.PROCEEDING),
    (S.CALLING, In.SUCCESS): ([], ["ResponseReceived"], "", "timer M", S.ACCEPTED),
    (S.CALLING, In.REFUSAL): (["ACK"], ["ResponseReceived"], "", "timer D", S.COMPLETED),
    (S.CALLING, In.CANCEL): ([], [], "", "", S.WITHDRAWN),
    (S.CALLING, In.FLOW_LOST): ([], ["RequestFailed"], "", "", S.TERMINATED),
    (S.WITHDRAWN, T.A): (["INVITE"], [], "timer A", "", S.WITHDRAWN),
    (S.WITHDRAWN, T.B): ([], ["RequestTimedOut"], "", "", S.TERMINATED),
    (S.WITHDRAWN, In.PROVISIONAL): (
        ["CANCEL"],
        ["ResponseReceived"],
        "",
        "timer of the CANCEL",
        S.CANCELLING,
    ),
    (S.WITHDRAWN, In.SUCCESS): ([], ["ResponseReceived"], "", "timer M", S.ACCEPTED),
    (S.WITHDRAWN, In.REFUSAL): (["ACK"], ["ResponseReceived"], "", "timer D", S.COMPLETED),
    (S.WITHDRAWN, In.FLOW_LOST): ([], ["RequestFailed"], "", "", S.TERMINATED),
    (S.PROCEEDING, In.PROVISIONAL): ([], ["ResponseReceived"], "", "", S.PROCEEDING),
    (S.PROCEEDING, In.SUCCESS): ([], ["ResponseReceived"], "", "timer M", S.ACCEPTED),
    (S.PROCEEDING, In.REFUSAL): (["ACK"], ["ResponseReceived"], "", "timer D", S.COMPLETED),
    (S.PROCEEDING, In.CANCEL): (["CANCEL"], [], "", "timer of the CANCEL", S.CANCELLING),
    (S.PROCEEDING, In.FLOW_LOST): ([], ["RequestFailed"], "", "", S.TERMINATED),
    (S.CANCELLING, In.PROVISIONAL): ([], ["ResponseReceived"], "", "", S.CANCELLING),
    (S.CANCELLING, In.SUCCESS): ([], ["ResponseReceived"], "", "timer M", S.ACCEPTED),
    (S.CANCELLING, In.REFUSAL): (["ACK"], ["ResponseReceived"], "", "timer D", S.COMPLETED),
    (S.CANCELLING, T.CANCELLED): ([], ["RequestTimedOut"], "", "", S.TERMINATED),
    (S.CANCELLING, In.FLOW_LOST): ([], ["RequestFailed"], "", "", S.TERMINATED),
    (S.COMPLETED, In.REFUSAL): (["INVITE"], [], "", "", S.COMPLETED),
    (S.COMPLETED, T.D): ([], [], "", "", S.TERMINATED),
    (S.COMPLETED, In.FLOW_LOST): ([], [], "", "", S.TERMINATED),
    (S.ACCEPTED, In.SUCCESS): ([], ["ResponseReceived"], "", "", S.ACCEPTED),
    (S.ACCEPTED, In.REPEATED): (["ACK"], [], "", "", S.ACCEPTED),
    (S.ACCEPTED, T.M): ([], [], "", "", S.TERMINATED),
    (S.ACCEPTED, In.FLOW_LOST): ([], [], "", "", S.TERMINATED),
}
"""What each row does to a transaction on which no timer runs and that sent its INVITE last."""

REQUEST_ROWS: dict[tuple[State, Input | Timer], Effect] = {
    (S.NEW, In.START): (["OPTIONS"], [], "timer E", "timer F", S.TRYING),
    (S.TRYING, T.E): (["OPTIONS"], [], "timer E", "", S.TRYING),
    (S.TRYING, T.F): ([], ["RequestTimedOut"], "", "", S.TERMINATED),
    (S.TRYING, In.PROVISIONAL): ([], ["ResponseReceived"], "", "", S.PROCEEDING),
    (S.TRYING, In.SUCCESS): ([], ["ResponseReceived"], "", "timer K", S.COMPLETED),
    (S.TRYING, In.REFUSAL): ([], ["ResponseReceived"], "", "timer K", S.COMPLETED),
    (S.TRYING, In.FLOW_LOST): ([], ["RequestFailed"], "", "", S.TERMINATED),
    (S.PROCEEDING, T.E): (["OPTIONS"], [], "timer E at T2", "", S.PROCEEDING),
    (S.PROCEEDING, T.E_SLOW): (["OPTIONS"], [], "timer E at T2", "", S.PROCEEDING),
    (S.PROCEEDING, T.F): ([], ["RequestTimedOut"], "", "", S.TERMINATED),
    (S.PROCEEDING, In.PROVISIONAL): ([], ["ResponseReceived"], "", "", S.PROCEEDING),
    (S.PROCEEDING, In.SUCCESS): ([], ["ResponseReceived"], "", "timer K", S.COMPLETED),
    (S.PROCEEDING, In.REFUSAL): ([], ["ResponseReceived"], "", "timer K", S.COMPLETED),
    (S.PROCEEDING, In.FLOW_LOST): ([], ["RequestFailed"], "", "", S.TERMINATED),
    (S.COMPLETED, T.K): ([], [], "", "", S.TERMINATED),
    (S.COMPLETED, In.FLOW_LOST): ([], [], "", "", S.TERMINATED),
}


def effect(
    bench: Bench, transaction: ClientTransaction, state: State, what: Input | Timer
) -> Effect:
    """Put a transaction into a state, without timers, and see what one input does."""
    bench.clients._hush(transaction)
    bench.clients._relax(transaction)
    transaction.state = state
    bench.sent()
    bench.told()
    message = _message(transaction, what)
    if state is State.ACCEPTED and isinstance(transaction, InviteClient):
        ack = (
            parse_message(transaction.wire.replace(b"INVITE", b"ACK")) if transaction.wire else None
        )
        assert ack is not None
        transaction.acks["theirs"] = ack.to_bytes(), transaction.flow
    bench.clients.step(transaction, what, 10.0, message)
    pace = transaction.pace.timer.value if transaction.pace else ""
    limit = transaction.limit.timer.value if transaction.limit else ""
    sent = [request.method for request in bench.sent()]
    return sent, [type(event).__name__ for event in bench.told()], pace, limit, transaction.state


def _message(transaction: ClientTransaction, what: Input | Timer) -> Response | None:
    statuses = {In.PROVISIONAL: 180, In.SUCCESS: 200, In.REPEATED: 200, In.REFUSAL: 486}
    if what not in statuses or transaction.wire is None:
        return None
    request = parse_message(transaction.wire)
    assert isinstance(request, Request)
    return response_to(request, statuses[Input(what)], to_tag="theirs")


@pytest.mark.parametrize(("row", "expected"), INVITE_ROWS.items(), ids=map(str, INVITE_ROWS))
def test_each_row_of_the_invite_client(
    bench: Bench, request_of: Make, row: tuple[State, Input | Timer], expected: Effect
) -> None:
    transaction = bench.transaction(bench.start(request_of("INVITE")))
    assert effect(bench, transaction, *row) == expected


@pytest.mark.parametrize(("row", "expected"), REQUEST_ROWS.items(), ids=map(str, REQUEST_ROWS))
def test_each_row_of_the_request_client(
    bench: Bench, request_of: Make, row: tuple[State, Input | Timer], expected: Effect
) -> None:
    transaction = bench.transaction(bench.start(request_of("OPTIONS")))
    assert effect(bench, transaction, *row) == expected


def test_no_row_of_the_client_tables_goes_untested() -> None:
    assert INVITE_ROWS.keys() == CLIENT_INVITE.keys()
    assert REQUEST_ROWS.keys() == CLIENT_REQUEST.keys() == CLIENT_CANCEL.keys()


def names(events: Iterable[object]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_timer_a_repeats_the_invite_at_doubling_intervals_until_timer_b(
    bench: Bench, request_of: Make
) -> None:
    id_ = bench.start(request_of("INVITE"))
    assert len(bench.sent()) == 1
    assert bench.run(31.9) == pytest.approx([0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    assert bench.told() == []
    assert bench.run(32.0) == []
    assert bench.told() == [RequestTimedOut(id_)]
    assert len(bench.clients) == 0


def test_timer_e_repeats_a_request_up_to_every_four_seconds_until_timer_f(
    bench: Bench, request_of: Make
) -> None:
    id_ = bench.start(request_of("OPTIONS"))
    bench.sent()
    assert bench.run(31.9) == pytest.approx(
        [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    )
    bench.run(32.0)
    assert bench.told() == [RequestTimedOut(id_)]


def test_after_a_provisional_a_request_is_repeated_every_four_seconds(
    bench: Bench, request_of: Make
) -> None:
    bench.start(request_of("OPTIONS"))
    bench.answer(bench.sent()[0], 100, now=0.1)
    assert bench.run(31.9) == pytest.approx([0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5])


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_reliable_flow_carries_each_request_once(
    reliable: Bench, request_of: Make, method: str
) -> None:
    id_ = reliable.start(request_of(method))
    reliable.sent()
    assert reliable.run(33.0) == []
    assert reliable.told() == [RequestTimedOut(id_)]


def test_timer_k_absorbs_repeated_finals_for_five_seconds(bench: Bench, request_of: Make) -> None:
    bench.start(request_of("OPTIONS"))
    (request,) = bench.sent()
    bench.answer(request, 200, now=1.0)
    bench.answer(request, 200, now=2.0)
    assert names(bench.told()) == ["ResponseReceived"]
    bench.expire(5.9)
    assert len(bench.clients) == 1
    bench.expire(6.0)
    assert len(bench.clients) == 0


def test_timer_d_acknowledges_repeated_refusals_for_32_seconds(
    bench: Bench, request_of: Make
) -> None:
    bench.start(request_of("INVITE"))
    (request,) = bench.sent()
    bench.answer(request, 486, now=1.0)
    (first,) = bench.sent()
    bench.answer(request, 486, now=2.0)
    (again,) = bench.sent()
    assert first.to_bytes() == again.to_bytes()
    assert first.via == request.via
    assert first.to.tag == "theirs"
    assert names(bench.told()) == ["ResponseReceived"]
    bench.expire(32.9)
    assert len(bench.clients) == 1
    bench.expire(33.0)
    assert len(bench.clients) == 0


def test_on_a_reliable_flow_a_refusal_is_acknowledged_and_forgotten(
    reliable: Bench, request_of: Make
) -> None:
    reliable.start(request_of("INVITE"))
    reliable.answer(reliable.sent()[0], 486)
    assert [request.method for request in reliable.sent()] == ["ACK"]
    assert len(reliable.clients) == 0


def test_timer_m_keeps_an_accepted_invite_for_32_seconds(reliable: Bench, request_of: Make) -> None:
    reliable.start(request_of("INVITE"))
    reliable.answer(reliable.sent()[0], 200, now=1.0)
    reliable.expire(32.9)
    assert len(reliable.clients) == 1
    reliable.expire(33.0)
    assert len(reliable.clients) == 0


def test_a_repeated_provisional_is_told_once_and_another_one_too(
    bench: Bench, request_of: Make
) -> None:
    bench.start(request_of("INVITE"))
    (request,) = bench.sent()
    for status in (100, 100, 180, 180, 183):
        bench.answer(request, status)
    told = [event for event in bench.told() if isinstance(event, ResponseReceived)]
    assert [event.response.status for event in told] == [100, 180, 183]


def test_an_early_dialog_of_each_fork_is_told(bench: Bench, request_of: Make) -> None:
    bench.start(request_of("INVITE"))
    (request,) = bench.sent()
    for tag in ("one", "two"):
        bench.answer(request, 180, tag)
    assert len(bench.told()) == 2


def acknowledge(bench: Bench, invite: str, tag: str, make_request: Make) -> None:
    ack = make_request("ACK", to_tag=tag)
    ack.headers.remove("Via")
    bench.clients.acknowledge(ack, bench.flow, invite, host="192.0.2.9", port=5060)


def test_each_callee_is_told_once_and_its_repeats_are_acknowledged_alike(
    bench: Bench, request_of: Make, make_request: Make
) -> None:
    id_ = bench.start(request_of("INVITE"))
    (request,) = bench.sent()
    acks = {}
    for tag in ("one", "two"):
        bench.answer(request, 200, tag)
        acknowledge(bench, id_, tag, make_request)
        (acks[tag],) = bench.sent()
    assert len(bench.told()) == 2
    assert acks["one"].via.branch != acks["two"].via.branch != request.via.branch
    bench.answer(request, 200, "one")
    (again,) = bench.sent()
    assert again.to_bytes() == acks["one"].to_bytes()
    assert bench.told() == []


def test_a_repeated_2xx_without_an_ack_yet_is_absorbed(bench: Bench, request_of: Make) -> None:
    bench.start(request_of("INVITE"))
    (request,) = bench.sent()
    bench.answer(request, 200)
    bench.told()
    bench.answer(request, 200)
    assert (bench.sent(), bench.told()) == ([], [])


def test_a_flood_of_callees_is_cut_off(bench: Bench, request_of: Make) -> None:
    bench.start(request_of("INVITE"))
    (request,) = bench.sent()
    for n in range(MAX_FORKS + 5):
        bench.answer(request, 200, f"tag{n}")
    assert len(bench.told()) == MAX_FORKS


def test_an_ack_is_sent_even_when_its_invite_is_forgotten(bench: Bench, make_request: Make) -> None:
    acknowledge(bench, "unknown", "one", make_request)
    assert [request.method for request in bench.sent()] == ["ACK"]


def test_a_cancel_waits_for_a_provisional_and_shares_branch_and_numbers(
    bench: Bench, request_of: Make
) -> None:
    id_ = bench.start(request_of("INVITE"))
    (invite,) = bench.sent()
    bench.clients.cancel(id_, 0.1, [("Reason", "SIP;cause=200")])
    assert bench.sent() == []
    bench.answer(invite, 100, now=0.2)
    (cancel,) = bench.sent()
    assert cancel.via == invite.via
    assert str(cancel.cseq) == f"{invite.cseq.number} CANCEL"
    assert cancel.headers.get("Reason") == "SIP;cause=200"


def test_a_withdrawn_invite_is_still_repeated(bench: Bench, request_of: Make) -> None:
    id_ = bench.start(request_of("INVITE"))
    bench.sent()
    bench.clients.cancel(id_, 0.1, ())
    assert bench.run(2.0) == pytest.approx([0.5, 1.5])


def test_a_second_cancel_does_nothing(bench: Bench, request_of: Make) -> None:
    id_ = bench.start(request_of("INVITE"))
    bench.answer(bench.sent()[0], 180)
    bench.clients.cancel(id_, 1.0, ())
    bench.clients.cancel(id_, 1.1, ())
    assert [request.method for request in bench.sent()] == ["CANCEL"]


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_final_response_does_nothing(
    bench: Bench, request_of: Make, status: int
) -> None:
    id_ = bench.start(request_of("INVITE"))
    bench.answer(bench.sent()[0], status)
    bench.sent()
    bench.clients.cancel(id_, 1.0, ())
    assert bench.sent() == []


def test_the_answer_to_a_cancel_is_nobodys_business(bench: Bench, request_of: Make) -> None:
    id_ = bench.start(request_of("INVITE"))
    bench.answer(bench.sent()[0], 180)
    bench.clients.cancel(id_, 1.0, ())
    (cancel,) = bench.sent()
    bench.told()
    bench.answer(cancel, 200, now=1.1)
    assert bench.told() == []
    bench.expire(7.0)
    assert len(bench.clients) == 1


def test_a_cancelled_invite_without_final_response_is_given_up_after_32_seconds(
    bench: Bench, request_of: Make
) -> None:
    id_ = bench.start(request_of("INVITE"))
    bench.answer(bench.sent()[0], 180)
    bench.clients.cancel(id_, 1.0, ())
    bench.told()
    bench.run(33.0)
    assert bench.told() == [RequestTimedOut(id_)]


def test_only_an_invite_can_be_cancelled(bench: Bench, request_of: Make) -> None:
    id_ = bench.start(request_of("OPTIONS"))
    bench.answer(bench.sent()[0], 100)
    bench.clients.cancel(id_, 1.0, ())
    assert bench.sent() == []


def test_a_lost_flow_fails_what_was_sent_over_it_and_nothing_else(
    bench: Bench, request_of: Make, tcp: Flow
) -> None:
    kept = bench.start(request_of("OPTIONS"))
    bench.flow = tcp
    lost = [bench.start(request_of("INVITE")), bench.start(request_of("OPTIONS"))]
    bench.clients.lose_flow(tcp, 1.0)
    assert bench.told() == [RequestFailed(id_, "flow lost") for id_ in lost]
    assert bench.transaction(kept)
    assert len(bench.clients) == 1


def test_another_peer_on_the_same_udp_socket_is_another_flow(
    bench: Bench, request_of: Make, udp: Flow
) -> None:
    bench.start(request_of("OPTIONS"))
    bench.clients.lose_flow(replace(udp, remote=("192.0.2.77", 5060)), 1.0)
    assert (bench.told(), len(bench.clients)) == ([], 1)


def test_who_was_abandoned_neither_repeats_nor_hears(bench: Bench, request_of: Make) -> None:
    id_ = bench.start(request_of("OPTIONS"))
    (request,) = bench.sent()
    bench.clients.abandon(id_)
    bench.clients.abandon(id_)
    bench.answer(request, 200)
    assert (bench.run(40.0), bench.told(), len(bench.wheel)) == ([], [], 0)


def test_a_stray_response_is_dropped(bench: Bench, make_request: Make) -> None:
    bench.answer(make_request("OPTIONS", branch="z9hG4bKstray"), 200)
    assert (bench.sent(), bench.told()) == ([], [])


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_are_no_requests_of_their_own(
    bench: Bench, request_of: Make, method: str
) -> None:
    with pytest.raises(LocalProtocolError):
        bench.start(request_of(method))


def test_two_requests_never_share_a_branch(bench: Bench, request_of: Make) -> None:
    bench.start(request_of("OPTIONS"))
    bench.start(request_of("OPTIONS"))
    first, second = bench.sent()
    assert first.via.branch != second.via.branch
    assert str(first.via.branch).startswith("z9hG4bK")
