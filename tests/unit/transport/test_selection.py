"""RFC 3263 and RFC 2782 as pure choices."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import TransportError
from sipis.sip.flow import Transport
from sipis.sip.uri import SipUri
from sipis.transport.records import Naptr
from sipis.transport.selection import Candidate, in_order, services_of, wish_of
from sipis.transport.targets import Target

ALL = (Transport.UDP, Transport.TCP, Transport.TLS)


def wish(text: str) -> tuple[str, int | None, Transport | None, bool]:
    found = wish_of(SipUri.parse(text))
    return found.host, found.port, found.transport, found.secure


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:Example.COM.", ("example.com", None, None, False)),
        ("sip:example.com:5070;transport=TCP", ("example.com", 5070, Transport.TCP, False)),
        ("sip:example.com;transport=tls", ("example.com", None, Transport.TLS, False)),
        ("sips:example.com", ("example.com", None, None, True)),
        ("sips:example.com;transport=tcp", ("example.com", None, Transport.TLS, True)),
        ("sips:example.com;transport=ws", ("example.com", None, Transport.WSS, True)),
    ],
)
def test_a_uri_says_what_it_wants(uri: str, expected: object) -> None:
    assert wish(uri) == expected


@pytest.mark.parametrize(
    "uri", ["sip:example.com;transport=sctp", "sips:example.com;transport=udp"]
)
def test_a_transport_that_is_missing_or_cannot_be_safe_is_refused(uri: str) -> None:
    with pytest.raises(TransportError):
        wish_of(SipUri.parse(uri))


def naptr(order: int, preference: int, service: str, name: str, flags: str = "s") -> Naptr:
    return Naptr(order, preference, flags, service, name)


def test_services_come_in_the_order_of_preference_and_only_those_that_we_speak() -> None:
    records = [
        naptr(10, 20, "SIP+D2U", "udp"),
        naptr(10, 10, "sip+d2t", "tcp", flags="S"),
        naptr(10, 5, "SIP+D2S", "sctp"),
        naptr(10, 1, "SIP+D2U", "by-address", flags="a"),
    ]
    chosen = services_of(records, wish_of(SipUri.parse("sip:example.com")), ALL)
    assert chosen == [(Transport.TCP, "tcp"), (Transport.UDP, "udp")]


def test_a_domain_that_puts_tls_first_is_not_tried_without() -> None:
    records = [naptr(50, 50, "SIPS+D2T", "tls"), naptr(90, 50, "SIP+D2U", "udp")]
    chosen = services_of(records, wish_of(SipUri.parse("sip:example.com")), ALL)
    assert chosen == [(Transport.TLS, "tls")]


def test_a_sips_uri_uses_no_service_without_tls() -> None:
    records = [naptr(10, 10, "SIP+D2U", "udp"), naptr(20, 10, "SIPS+D2T", "tls")]
    chosen = services_of(records, wish_of(SipUri.parse("sips:example.com")), ALL)
    assert chosen == [(Transport.TLS, "tls")]


def server(name: str, rank: int, weight: int) -> Candidate:
    return Candidate((0, rank), weight, (Target(Transport.UDP, name, 5060),))


def hosts(targets: list[Target]) -> list[str]:
    return [target.host for target in targets]


def test_servers_of_a_lower_priority_value_come_first_whatever_chance_says() -> None:
    servers = [server("b", 20, 100), server("a", 10, 0)]
    assert hosts(in_order(servers, lambda size: b"\xff" * size)) == ["a", "b"]


def test_weight_decides_how_often_a_server_comes_first() -> None:
    numbers = itertools.count()
    servers = [server("heavy", 0, 90), server("light", 0, 10), server("never", 0, 0)]
    firsts = [
        hosts(in_order(servers, lambda size: next(numbers).to_bytes(size, "big")))[0]
        for _ in range(2020)
    ]
    assert 1700 < firsts.count("heavy") < 1900
    assert 150 < firsts.count("light") < 250
    assert firsts.count("never") < 60


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65_535)), max_size=8),
    st.binary(min_size=8, max_size=8),
)
def test_every_server_is_tried_once_and_in_the_order_of_rank(
    rows: list[tuple[int, int]], chance: bytes
) -> None:
    servers = [server(str(place), *row) for place, row in enumerate(rows)]
    tried = hosts(in_order(servers, lambda _: chance))
    assert sorted(tried) == sorted(str(place) for place in range(len(rows)))
    ranks = [rows[int(host)][0] for host in tried]
    assert ranks == sorted(ranks)
