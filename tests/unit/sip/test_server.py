from collections.abc import Callable

import pytest

from sipis.errors import LocalProtocolError
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.machine import Outlet, TransactionWheel
from sipis.sip.message import Request, Response, response_to
from sipis.sip.server import InviteServer, Servers, ServerTransaction
from sipis.sip.timers import LONGEST_RINGING, Timer
from sipis.sip.transaction import SERVER_INVITE, SERVER_REQUEST, Input, State
from tests.support.machines import MachineBench

Make = Callable[..., Request]
S, In, T = State, Input, Timer

Effect = tuple[list[int], list[str], str, str, State]
"""Statuses sent, events told, pace and limit that run afterwards, next state."""


class Bench(MachineBench[ServerTransaction]):
    """Server transactions with the wire and the transaction user in sight."""

    def __init__(self, flow: Flow) -> None:
        wheel, outlet = TransactionWheel(), Outlet()
        self.silent = False
        self.servers = Servers(
            wheel,
            outlet,
            instance_of=lambda request: request.uri_text,
            quiet=lambda _: self.silent,
        )
        self.flow = flow
        super().__init__(wheel, outlet, self.servers, ServerTransaction)

    def start(self, request: Request, now: float = 0.0) -> str:
        self.servers.start(request, self.flow, now)
        told = self.outlet.events[-1]
        assert isinstance(told, RequestReceived)
        assert told.transaction is not None
        return told.transaction

    def respond(self, id_: str, request: Request, status: int, now: float = 0.0) -> None:
        self.servers.respond(id_, response_to(request, status, to_tag="ours"), now)

    def sent(self) -> list[int]:
        return [message.status for message in self.messages() if isinstance(message, Response)]


@pytest.fixture
def bench(udp: Flow) -> Bench:
    return Bench(udp)


@pytest.fixture
def reliable(tcp: Flow) -> Bench:
    return Bench(tcp)


INVITE_ROWS: dict[tuple[State, Input | Timer], Effect] = {
    (S.NEW, In.START): (
        [],
        ["RequestReceived"],
        "timer of the 100",
        "timer of the unanswered INVITE",
        S.PROCEEDING,
    ),
    (S.PROCEEDING, In.REQUEST): ([180], [], "", "", S.PROCEEDING),
    (S.PROCEEDING, T.TRYING): ([100], [], "", "", S.PROCEEDING),
    (S.PROCEEDING, In.PROVISIONAL): (
        [183],
        [],
        "",
        "timer of the unanswered INVITE",
        S.PROCEEDING,
    ),
    (S.PROCEEDING, In.CANCEL): ([], ["CancelReceived"], "", "", S.CANCELLING),
    (S.PROCEEDING, In.SUCCESS): ([200], [], "timer of the 2xx", "timer L", S.ACCEPTED),
    (S.PROCEEDING, In.REFUSAL): ([486], [], "timer G", "timer H", S.COMPLETED),
    (S.PROCEEDING, T.RINGING): ([], [], "", "", S.TERMINATED),
    (S.CANCELLING, In.REQUEST): ([180], [], "", "", S.CANCELLING),
    (S.CANCELLING, T.TRYING): ([100], [], "", "", S.CANCELLING),
    (S.CANCELLING, In.PROVISIONAL): (
        [183],
        [],
        "",
        "timer of the unanswered INVITE",
        S.CANCELLING,
    ),
    (S.CANCELLING, In.SUCCESS): ([200], [], "timer of the 2xx", "timer L", S.ACCEPTED),
    (S.CANCELLING, In.REFUSAL): ([486], [], "timer G", "timer H", S.COMPLETED),
    (S.CANCELLING, T.RINGING): ([], [], "", "", S.TERMINATED),
    (S.COMPLETED, In.REQUEST): ([180], [], "", "", S.COMPLETED),
    (S.COMPLETED, T.G): ([180], [], "timer G", "", S.COMPLETED),
    (S.COMPLETED, In.ACK): ([], [], "", "timer I", S.CONFIRMED),
    (S.COMPLETED, T.H): ([], ["AckMissing"], "", "", S.TERMINATED),
    (S.ACCEPTED, T.REPEAT_2XX): ([180], [], "timer of the 2xx", "", S.ACCEPTED),
    (S.ACCEPTED, In.ACK): ([], ["RequestReceived"], "", "", S.CONFIRMED),
    (S.ACCEPTED, T.L): ([], ["AckMissing"], "", "", S.TERMINATED),
    (S.CONFIRMED, T.I): ([], [], "", "", S.TERMINATED),
    (S.CONFIRMED, T.L): ([], [], "", "", S.TERMINATED),
}
"""What each row does to a transaction on which no timer runs and that sent 180 last."""

REQUEST_ROWS: dict[tuple[State, Input | Timer], Effect] = {
    (S.NEW, In.START): (
        [],
        ["RequestReceived"],
        "timer of the late 100",
        "timer of the unanswered request",
        S.TRYING,
    ),
    (S.TRYING, T.LATE_TRYING): ([100], [], "", "", S.PROCEEDING),
    (S.TRYING, In.SUCCESS): ([200], [], "", "timer J", S.COMPLETED),
    (S.TRYING, In.REFUSAL): ([486], [], "", "timer J", S.COMPLETED),
    (S.TRYING, T.UNANSWERED): ([], [], "", "", S.TERMINATED),
    (S.PROCEEDING, In.REQUEST): ([180], [], "", "", S.PROCEEDING),
    (S.PROCEEDING, In.SUCCESS): ([200], [], "", "timer J", S.COMPLETED),
    (S.PROCEEDING, In.REFUSAL): ([486], [], "", "timer J", S.COMPLETED),
    (S.PROCEEDING, T.UNANSWERED): ([], [], "", "", S.TERMINATED),
    (S.COMPLETED, In.REQUEST): ([180], [], "", "", S.COMPLETED),
    (S.COMPLETED, T.J): ([], [], "", "", S.TERMINATED),
}


def effect(bench: Bench, request: Request, make: Make, state: State, what: Input | Timer) -> Effect:
    """Put a transaction into a state, without timers, and see what one input does."""
    transaction = bench.transaction(bench.start(request))
    bench.servers._hush(transaction)
    bench.servers._relax(transaction)
    transaction.state = state
    transaction.wire = response_to(request, 180, to_tag="ours").to_bytes()
    bench.told()
    statuses = {In.PROVISIONAL: 183, In.SUCCESS: 200, In.REFUSAL: 486}
    message: Request | Response = request
    if what in statuses:
        message = response_to(request, statuses[Input(what)], to_tag="ours")
    elif what in (In.ACK, In.CANCEL):
        message = make(str(what), to_tag="ours")
    bench.servers.step(transaction, what, 10.0, message)
    pace = transaction.pace.timer.value if transaction.pace else ""
    limit = transaction.limit.timer.value if transaction.limit else ""
    told = [type(event).__name__ for event in bench.told()]
    return bench.sent(), told, pace, limit, transaction.state


@pytest.mark.parametrize(("row", "expected"), INVITE_ROWS.items(), ids=map(str, INVITE_ROWS))
def test_each_row_of_the_invite_server(
    bench: Bench, make_request: Make, row: tuple[State, Input | Timer], expected: Effect
) -> None:
    assert effect(bench, make_request(), make_request, *row) == expected


@pytest.mark.parametrize(("row", "expected"), REQUEST_ROWS.items(), ids=map(str, REQUEST_ROWS))
def test_each_row_of_the_request_server(
    bench: Bench, make_request: Make, row: tuple[State, Input | Timer], expected: Effect
) -> None:
    assert effect(bench, make_request("OPTIONS"), make_request, *row) == expected


def test_no_row_of_the_server_tables_goes_untested() -> None:
    assert INVITE_ROWS.keys() == SERVER_INVITE.keys()
    assert REQUEST_ROWS.keys() == SERVER_REQUEST.keys()


def test_a_repeated_request_is_absorbed_and_gets_the_last_response(
    bench: Bench, make_request: Make
) -> None:
    request = make_request("OPTIONS")
    assert not bench.servers.absorb(request, 0.0)
    id_ = bench.start(request)
    assert bench.servers.absorb(make_request("OPTIONS"), 0.1)
    assert bench.sent() == []
    bench.respond(id_, request, 200)
    assert bench.servers.absorb(make_request("OPTIONS"), 0.2)
    assert bench.sent() == [200, 200]
    assert len(bench.told()) == 1


def test_a_silent_transaction_user_is_covered_with_100_after_200_ms(
    bench: Bench, make_request: Make
) -> None:
    bench.start(make_request())
    bench.expire(0.15)
    assert bench.sent() == []
    bench.expire(0.2)
    assert bench.sent() == [100]


def test_a_transaction_user_that_speaks_needs_no_cover(bench: Bench, make_request: Make) -> None:
    request = make_request()
    id_ = bench.start(request)
    bench.respond(id_, request, 100)
    assert bench.sent() == [100]
    assert bench.run(30.0) == []


def test_over_a_quiet_flow_no_100_is_sent_unasked(bench: Bench, make_request: Make) -> None:
    bench.silent = True
    bench.start(make_request())
    bench.start(make_request("OPTIONS", branch="z9hG4bKtwo", call_id="two"))
    assert bench.run(31.0) == []


def test_a_non_invite_gets_100_when_its_senders_timer_e_reaches_t2(
    bench: Bench, make_request: Make
) -> None:
    bench.start(make_request("MESSAGE"))
    assert bench.run(3.45) == []
    assert bench.run(3.5) == [3.5]


@pytest.mark.parametrize("status", [100, 180, 183, 408])
def test_a_response_to_a_non_invite_that_rfc_4320_forbids_is_not_sent(
    bench: Bench, make_request: Make, status: int
) -> None:
    request = make_request("MESSAGE")
    id_ = bench.start(request)
    bench.respond(id_, request, status)
    assert bench.sent() == []
    assert bench.servers.absorb(request, 0.1)


def test_an_invite_may_be_refused_with_408(bench: Bench, make_request: Make) -> None:
    request = make_request()
    bench.respond(bench.start(request), request, 408)
    assert bench.sent() == [408]


def test_an_answer_that_comes_too_late_is_dropped(bench: Bench, make_request: Make) -> None:
    request = make_request("MESSAGE")
    id_ = bench.start(request)
    bench.expire(32.0)
    bench.sent()
    bench.respond(id_, request, 200, now=33.0)
    assert (bench.sent(), len(bench.servers)) == ([], 0)


def test_timer_j_answers_repeats_for_32_seconds(bench: Bench, make_request: Make) -> None:
    request = make_request("OPTIONS")
    bench.respond(bench.start(request), request, 200, now=1.0)
    bench.expire(32.9)
    assert bench.servers.absorb(request, 32.9)
    bench.expire(33.0)
    assert not bench.servers.absorb(request, 33.0)


def test_on_a_reliable_flow_an_answered_request_is_forgotten(
    reliable: Bench, make_request: Make
) -> None:
    request = make_request("OPTIONS")
    reliable.respond(reliable.start(request), request, 200)
    assert (reliable.sent(), len(reliable.servers), len(reliable.wheel)) == ([200], 0, 0)


def test_timer_g_repeats_a_refusal_until_timer_h(bench: Bench, make_request: Make) -> None:
    request = make_request()
    id_ = bench.start(request)
    bench.respond(id_, request, 486)
    bench.sent()
    bench.told()
    assert bench.run(31.9) == pytest.approx(
        [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    )
    bench.run(32.0)
    assert bench.told() == [AckMissing(id_)]
    assert len(bench.servers) == 0


def test_on_a_reliable_flow_a_refusal_is_sent_once_but_its_ack_is_awaited(
    reliable: Bench, make_request: Make
) -> None:
    request = make_request()
    id_ = reliable.start(request)
    reliable.respond(id_, request, 486)
    reliable.sent()
    reliable.told()
    assert reliable.run(32.0) == []
    assert reliable.told() == [AckMissing(id_)]


def test_timer_i_absorbs_acks_for_five_seconds(bench: Bench, make_request: Make) -> None:
    request = make_request()
    bench.respond(bench.start(request), request, 486)
    bench.told()
    ack = make_request("ACK", to_tag="ours")
    assert bench.servers.acknowledge(ack, 1.0)
    assert bench.servers.acknowledge(ack, 5.9)
    bench.expire(6.0)
    assert not bench.servers.acknowledge(ack, 6.0)
    assert bench.told() == []


def test_on_a_reliable_flow_an_acknowledged_refusal_is_forgotten(
    reliable: Bench, make_request: Make
) -> None:
    request = make_request()
    reliable.respond(reliable.start(request), request, 486)
    assert reliable.servers.acknowledge(make_request("ACK", to_tag="ours"), 1.0)
    assert (len(reliable.servers), len(reliable.wheel)) == (0, 0)


@pytest.mark.parametrize("door", ["bench", "reliable"])
def test_a_2xx_is_repeated_on_every_transport_until_64_t1(
    request: pytest.FixtureRequest, make_request: Make, door: str
) -> None:
    bench: Bench = request.getfixturevalue(door)
    invite = make_request()
    id_ = bench.start(invite)
    bench.respond(id_, invite, 200)
    bench.sent()
    bench.told()
    assert bench.run(31.9) == pytest.approx(
        [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    )
    bench.run(32.0)
    assert bench.told() == [AckMissing(id_)]


def test_the_ack_to_a_2xx_is_told_once_and_ends_the_repeats(
    bench: Bench, make_request: Make
) -> None:
    request = make_request()
    bench.respond(bench.start(request), request, 200)
    bench.sent()
    bench.told()
    ack = make_request("ACK", branch="z9hG4bKfresh", to_tag="ours")
    assert bench.servers.acknowledge(ack, 0.1)
    assert bench.servers.acknowledge(ack, 0.2)
    assert bench.told() == [RequestReceived(ack, bench.flow, None)]
    assert bench.run(31.9) == []
    assert bench.servers.absorb(request, 31.9)
    bench.expire(32.0)
    assert not bench.servers.absorb(request, 32.0)
    assert bench.told() == []


def test_timer_l_absorbs_repeated_invites_without_hurrying_the_2xx(
    bench: Bench, make_request: Make
) -> None:
    request = make_request()
    bench.respond(bench.start(request), request, 200)
    bench.sent()
    assert bench.servers.absorb(request, 0.1)
    assert bench.sent() == []


@pytest.mark.parametrize("branch", ["z9hG4bKone", "old", None])
@pytest.mark.parametrize("status", [200, 486])
def test_an_ack_is_matched_whatever_the_age_of_the_peer(
    bench: Bench, make_request: Make, branch: str | None, status: int
) -> None:
    request = make_request(branch=branch)
    bench.respond(bench.start(request), request, status)
    bench.told()
    assert not bench.servers.acknowledge(make_request("ACK", branch=branch, to_tag="no"), 0.1)
    assert bench.servers.acknowledge(make_request("ACK", branch=branch, to_tag="ours"), 0.1)
    assert len(bench.told()) == (1 if status == 200 else 0)


def test_a_cancel_is_told_once_and_only_before_the_final_response(
    bench: Bench, make_request: Make
) -> None:
    request = make_request()
    id_ = bench.start(request)
    bench.told()
    cancel = make_request("CANCEL")
    for _ in range(2):
        found = bench.servers.cancel(cancel, bench.flow, 0.1)
        assert found is bench.transaction(id_)
    assert bench.told() == [CancelReceived(cancel, bench.flow, id_)]


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_final_response_finds_its_invite_and_tells_nothing(
    bench: Bench, make_request: Make, status: int
) -> None:
    request = make_request()
    bench.respond(bench.start(request), request, status)
    bench.told()
    assert bench.servers.cancel(make_request("CANCEL"), bench.flow, 0.1) is not None
    assert bench.told() == []


def test_a_cancel_from_another_port_of_the_same_host_is_heard(
    bench: Bench, make_request: Make
) -> None:
    bench.start(make_request())
    port = Flow(7, Door.PROVIDER, Transport.UDP, bench.flow.local, ("192.0.2.1", 40000))
    assert bench.servers.cancel(make_request("CANCEL"), port, 0.1) is not None


@pytest.mark.parametrize("source", [(Transport.TCP, "192.0.2.1"), (Transport.UDP, "203.0.113.66")])
def test_a_cancel_from_another_source_finds_nothing(
    bench: Bench, make_request: Make, source: tuple[Transport, str]
) -> None:
    bench.start(make_request())
    bench.told()
    stranger = Flow(7, Door.PROVIDER, source[0], bench.flow.local, (source[1], 5060))
    assert bench.servers.cancel(make_request("CANCEL"), stranger, 0.1) is None
    assert bench.told() == []


def test_a_cancel_of_anything_but_an_invite_finds_nothing(bench: Bench, make_request: Make) -> None:
    bench.start(make_request("OPTIONS"))
    assert bench.servers.cancel(make_request("CANCEL"), bench.flow, 0.1) is None


def test_the_same_request_on_another_way_is_merged(bench: Bench, make_request: Make) -> None:
    bench.start(make_request())
    assert bench.servers.is_merged(make_request(branch="z9hG4bKtwo"))


def test_a_fork_to_another_instance_is_not_merged(bench: Bench, make_request: Make) -> None:
    bench.start(make_request())
    fork = make_request(branch="z9hG4bKtwo", uri="sip:other@192.0.2.9")
    assert not bench.servers.is_merged(fork)


def test_requests_inside_dialogs_are_never_merged(bench: Bench, make_request: Make) -> None:
    bench.start(make_request("INFO", to_tag="ours"))
    assert not bench.servers.is_merged(make_request("INFO", branch="z9hG4bKtwo", to_tag="ours"))


def test_a_forgotten_request_merges_with_nothing(bench: Bench, make_request: Make) -> None:
    bench.servers.drop(bench.start(make_request()))
    assert not bench.servers.is_merged(make_request(branch="z9hG4bKtwo"))


def test_a_dropped_request_leaves_nothing_behind(bench: Bench, make_request: Make) -> None:
    id_ = bench.start(make_request())
    bench.servers.drop(id_)
    bench.servers.drop(id_)
    assert (len(bench.servers), len(bench.wheel), bench.sent()) == (0, 0, [])


def test_an_invite_that_nobody_answers_is_forgotten_after_ten_minutes(
    bench: Bench, make_request: Make
) -> None:
    bench.start(make_request())
    bench.run(LONGEST_RINGING - 1)
    assert len(bench.servers) == 1
    bench.run(LONGEST_RINGING)
    assert len(bench.servers) == 0


def test_a_final_response_to_invite_without_a_tag_is_our_bug(
    bench: Bench, make_request: Make
) -> None:
    request = make_request()
    id_ = bench.start(request)
    with pytest.raises(LocalProtocolError):
        bench.servers.respond(id_, response_to(request, 200), 0.0)


def test_a_second_final_response_is_ignored(bench: Bench, make_request: Make) -> None:
    request = make_request()
    id_ = bench.start(request)
    bench.respond(id_, request, 486)
    bench.respond(id_, request, 200)
    assert bench.sent() == [486]


def test_after_the_end_no_index_remembers_an_invite(bench: Bench, make_request: Make) -> None:
    request = make_request()
    id_ = bench.start(request)
    assert isinstance(bench.transaction(id_), InviteServer)
    bench.respond(id_, request, 200)
    bench.run(32.0)
    assert not bench.servers._by_ack_key
    assert not bench.servers._by_merge_key
