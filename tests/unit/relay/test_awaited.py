"""What is owed to an app that changes networks."""

from dataclasses import replace

from sipis.relay.awaited import MOST_APPS, MOST_EACH, PATIENCE, Awaited
from sipis.sip.flow import Door, Flow, Transport

OLD = Flow(1, Door.APP, Transport.TCP, ("127.0.0.1", 5070), ("192.0.2.1", 40000))
NEW = replace(OLD, id=2, remote=("198.51.100.7", 40000))


class Request:
    """Stands for one; remembers the flows that it went over."""

    def __init__(self) -> None:
        self.went: list[Flow] = []

    def go(self, flow: Flow) -> None:
        self.went.append(flow)


def test_what_waits_goes_over_the_flow_that_comes_and_to_nobody_else() -> None:
    awaited, request = Awaited(), Request()
    awaited.keep(1, request.go, None, 0.0)
    awaited.arrived(2, NEW, 1.0)
    assert request.went == []
    awaited.arrived(1, NEW, 1.0)
    assert request.went == [NEW]


def test_what_went_over_a_flow_goes_over_another_one_once_more() -> None:
    awaited, request = Awaited(), Request()
    awaited.keep(1, request.go, OLD, 0.0)
    for _ in range(2):
        awaited.arrived(1, OLD, 1.0)
    assert request.went == []
    for _ in range(2):
        awaited.arrived(1, NEW, 2.0)
    assert request.went == [NEW]


def test_what_is_settled_goes_nowhere_and_leaves_the_rest_in_order() -> None:
    awaited, requests = Awaited(), [Request() for _ in range(3)]
    went: list[int] = []
    acts = [lambda _, n=n: went.append(n) for n in range(len(requests))]
    for act in acts:
        awaited.keep(1, act, None, 0.0)
    awaited.settle(1, acts[1])
    awaited.settle(2, acts[0])
    awaited.arrived(1, NEW, 1.0)
    assert went == [0, 2]


def test_what_is_kept_again_is_owed_once() -> None:
    awaited, request = Awaited(), Request()
    awaited.keep(1, request.go, OLD, 0.0)
    awaited.keep(1, request.go, OLD, 1.0)
    awaited.arrived(1, NEW, 2.0)
    assert request.went == [NEW]


def test_what_waited_too_long_is_owed_no_more() -> None:
    awaited, early, late = Awaited(), Request(), Request()
    awaited.keep(1, early.go, None, 0.0)
    awaited.keep(1, late.go, None, 1.0)
    awaited.sweep(PATIENCE)
    awaited.arrived(1, NEW, PATIENCE)
    assert (early.went, late.went) == ([], [NEW])
    awaited.sweep(PATIENCE + 1.0)
    assert not awaited._owed


def test_neither_one_app_nor_many_pile_up() -> None:
    awaited, requests = Awaited(), [Request() for _ in range(MOST_EACH + 1)]
    awaited.keep(1, requests[0].go, None, 0.0)
    for n in range(2, MOST_APPS + 2):
        awaited.keep(n, requests[0].go, None, 0.0)
    awaited.arrived(1, NEW, 1.0)
    assert requests[0].went == []
    for request in requests:
        awaited.keep(0, request.go, None, 0.0)
    awaited.arrived(0, NEW, 1.0)
    assert [bool(request.went) for request in requests] == [False] + [True] * MOST_EACH
