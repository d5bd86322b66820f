"""Where awake apps are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.model import InstanceId
from sipis.relay.bindings import Binding, Bindings
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.headers import NameAddr

CONTACT = NameAddr.parse("<sip:app@192.0.2.1>")


def flow(number: int) -> Flow:
    return Flow(number, Door.APP, Transport.TCP, ("127.0.0.1", 1), ("192.0.2.1", number))


def binding(n: int, on: int = 1, until: float = 100.0) -> Binding:
    return Binding(n, InstanceId(f"{n:032x}"), flow(on), CONTACT, until)


def test_the_newest_flow_wins() -> None:
    bindings = Bindings()
    bindings.bind(binding(1, on=1))
    bindings.bind(binding(1, on=2))
    found = bindings.find(1, 0.0)
    assert found is not None
    assert found.flow == flow(2)
    assert bindings.on_flow(flow(1)) == []


def test_a_flow_serves_several_accounts_of_one_phone_and_takes_them_along() -> None:
    bindings = Bindings()
    bindings.bind(binding(1))
    bindings.bind(binding(2))
    bindings.bind(binding(3, on=9))
    bindings.flow_closed(flow(1))
    assert [bindings.find(n, 0.0) is not None for n in (1, 2, 3)] == [False, False, True]


def test_an_old_flow_that_closes_leaves_the_newer_binding() -> None:
    bindings = Bindings()
    bindings.bind(binding(1, on=1))
    bindings.bind(binding(1, on=2))
    bindings.flow_closed(flow(1))
    assert bindings.find(1, 0.0) is not None


def test_an_expired_binding_is_none_and_is_swept_away() -> None:
    bindings = Bindings()
    bindings.bind(binding(1, until=10.0))
    assert bindings.find(1, 10.0) is None
    bindings.sweep(10.0)
    assert len(bindings) == 0


@pytest.mark.parametrize(
    ("contact", "path", "direct"),
    [
        ("<sip:app@192.0.2.1:5060>", "", True),
        ("<sip:app@192.0.2.1>", "", True),
        ("<sip:app@10.0.0.7:5060>", "", False),
        ("<sip:app@192.0.2.1:5062>", "", False),
        ("<sip:app@192.0.2.1:5060>", "<sip:edge.example;lr>", False),
        ("<urn:app>", "", False),
    ],
)
def test_an_app_is_direct_where_its_contact_is_its_source(
    contact: str, path: str, direct: bool
) -> None:
    hops = (NameAddr.parse(path),) if path else ()
    source = Flow(1, Door.APP, Transport.UDP, ("127.0.0.1", 1), ("192.0.2.1", 5060))
    one = Binding(1, InstanceId("1" * 32), source, NameAddr.parse(contact), 100.0, hops)
    assert one.is_direct is direct


@pytest.mark.parametrize(
    ("bound", "contact", "same"),
    [
        ("<sip:app@192.0.2.1>", "<sip:%61pp@192.0.2.1;ob>;expires=0", True),
        ("<sip:app@192.0.2.1>", "<sip:app@192.0.2.1:5060>", False),
        ("<sip:app@192.0.2.1>", "<urn:app>", False),
        ("<urn:app>", "<urn:app>;expires=0", True),
        ("<urn:app>", "<urn:other>", False),
    ],
)
def test_a_binding_is_named_by_an_equivalent_contact(bound: str, contact: str, same: bool) -> None:
    one = Binding(1, InstanceId("1" * 32), flow(1), NameAddr.parse(bound), 100.0)
    assert one.is_named_by(NameAddr.parse(contact)) is same


STEPS = st.lists(st.tuples(st.sampled_from("buc"), st.integers(1, 4), st.integers(1, 3)))


@given(STEPS)
def test_both_indexes_always_agree(steps: list[tuple[str, int, int]]) -> None:
    bindings = Bindings()
    for step, n, on in steps:
        if step == "b":
            bindings.bind(binding(n, on))
        elif step == "u":
            bindings.unbind(n)
        else:
            bindings.flow_closed(flow(on))
    served = [one.n for on in range(1, 4) for one in bindings.on_flow(flow(on))]
    assert sorted(served) == sorted(n for n in range(1, 5) if bindings.find(n, 0.0))
