"""Contact addresses: advertised, learnt, local."""

import pytest

from sipis.clock import ManualClock
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Response
from sipis.transport.addresses import HOLD, MOST_LEARNT, OwnAddresses, local_address_towards
from sipis.transport.targets import BoundListener

UDP = Flow(1, Door.PROVIDER, Transport.UDP, ("127.0.0.1", 5060), ("127.0.0.9", 5060), "udp")
OTHER = Flow(1, Door.PROVIDER, Transport.UDP, ("127.0.0.1", 5060), ("127.0.0.8", 5060), "udp")
SOURCE = Flow(2, Door.PROVIDER, Transport.UDP, ("127.0.0.1", 40_000), ("127.0.0.9", 5060))
TCP = Flow(3, Door.PROVIDER, Transport.TCP, ("127.0.0.1", 50_000), ("127.0.0.9", 5060))
APP = Flow(4, Door.APP, Transport.TCP, ("127.0.0.1", 5070), ("127.0.0.7", 50_000), "tcp")


def seen_from(host: str, port: int) -> Response:
    via = f"SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;received={host};rport={port}"
    return Response.build(200, "OK", [("Via", via)])


def plain() -> OwnAddresses:
    return OwnAddresses(None, learn=True)


def test_without_more_knowledge_the_local_address_is_it() -> None:
    addresses = plain()
    assert addresses.contact(UDP) == ("127.0.0.1", 5060)
    assert addresses.contact(TCP) == ("127.0.0.1", 50_000)


def test_the_port_of_a_listener_stands_for_connections_that_we_opened() -> None:
    addresses = plain()
    addresses.set_listening([BoundListener(Door.PROVIDER, Transport.TCP, "127.0.0.1", 5062)])
    assert addresses.contact(TCP) == ("127.0.0.1", 5062)


def test_a_wildcard_gives_way_to_the_address_that_leads_to_the_peer() -> None:
    wildcard = Flow(1, Door.PROVIDER, Transport.UDP, ("0.0.0.0", 5060), ("127.0.0.9", 5060), "udp")
    assert plain().contact(wildcard) == ("127.0.0.1", 5060)
    assert local_address_towards("127.0.0.9") == "127.0.0.1"


def test_what_is_advertised_goes_before_all_else() -> None:
    addresses = OwnAddresses(("sip.example.com", 5999), learn=True)
    assert not addresses.learn(UDP, seen_from("8.8.8.8", 1234), 0.0)
    assert addresses.contact(UDP) == ("sip.example.com", 5999)
    assert addresses.contact(TCP) == ("sip.example.com", 5999)


def test_the_advertised_port_stands_for_the_listeners_of_the_provider_door_alone() -> None:
    addresses = OwnAddresses(("sip.example.com", 5999), learn=True)
    assert addresses.contact(SOURCE) == ("sip.example.com", 40_000)
    assert addresses.contact(APP) == ("sip.example.com", 5070)
    assert OwnAddresses(("h", None), learn=True).contact(UDP) == ("h", 5060)


def test_a_response_teaches_the_address_of_its_flow_and_is_news_once() -> None:
    addresses = plain()
    assert addresses.learn(UDP, seen_from("8.8.8.8", 1234), 0.0)
    assert not addresses.learn(UDP, seen_from("8.8.8.8", 1234), 1.0)
    assert addresses.contact(UDP) == ("8.8.8.8", 1234)


def test_other_targets_of_the_socket_take_it_as_a_first_guess_until_they_know_better() -> None:
    addresses = plain()
    addresses.learn(UDP, seen_from("8.8.8.8", 1234), 0.0)
    assert addresses.contact(OTHER) == ("8.8.8.8", 1234)
    assert addresses.contact(SOURCE) == ("127.0.0.1", 40_000)
    assert addresses.learn(OTHER, seen_from("8.8.8.8", 4321), 0.0)
    assert addresses.contact(OTHER) == ("8.8.8.8", 4321)
    assert addresses.contact(UDP) == ("8.8.8.8", 1234)


def test_a_nat_that_changes_its_mind_all_the_time_is_followed_once_a_minute() -> None:
    addresses = plain()
    assert addresses.learn(UDP, seen_from("8.8.8.8", 1), 0.0)
    assert not addresses.learn(UDP, seen_from("8.8.8.8", 2), HOLD - 1)
    assert addresses.learn(UDP, seen_from("8.8.8.8", 2), HOLD)


def test_our_own_address_is_no_news() -> None:
    assert not plain().learn(UDP, seen_from("127.0.0.1", 5060), 0.0)


@pytest.mark.parametrize("host", ["evil.example", "0x7f000001", "127.1"])
def test_what_is_no_address_is_not_learnt(host: str) -> None:
    assert not plain().learn(UDP, seen_from(host, 1234), 0.0)


def test_nothing_is_learnt_without_rport_over_streams_or_when_switched_off() -> None:
    silent = Response.build(200, "OK", [("Via", "SIP/2.0/UDP 9.9.9.9;branch=z9hG4bK1;rport")])
    assert not plain().learn(UDP, silent, 0.0)
    assert not plain().learn(TCP, seen_from("8.8.8.8", 1234), 0.0)
    assert not OwnAddresses(None, learn=False).learn(UDP, seen_from("8.8.8.8", 1234), 0.0)


def test_the_memory_is_bounded(clock: ManualClock) -> None:
    addresses = plain()
    for port in range(1, MOST_LEARNT + 10):
        flow = Flow(1, Door.PROVIDER, Transport.UDP, UDP.local, ("127.0.0.9", port), "udp")
        addresses.learn(flow, seen_from("8.8.8.8", port), 0.0)
    assert len(addresses._learnt) == MOST_LEARNT


def test_what_was_found_for_a_connection_goes_with_it() -> None:
    addresses = plain()
    addresses.contact(TCP)
    addresses.contact(UDP)
    addresses.forget(TCP)
    addresses.forget(APP)
    assert list(addresses._found) == [(UDP.id, UDP.remote)]
