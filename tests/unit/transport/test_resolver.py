"""From URIs to targets: RFC 3263 with every answer checked."""

from collections.abc import Callable

import pytest

from sipis.clock import ManualClock
from sipis.errors import FieldError, RefusedAddress, TransportError
from sipis.sip.flow import Transport
from sipis.sip.uri import SipUri
from sipis.transport.networks import NetworkPolicy
from sipis.transport.records import Answer, Naptr, Record, Srv
from sipis.transport.resolver import Resolver
from sipis.transport.targets import Target
from tests.support.dns import FakeNameServer, WireNameServer
from tests.support.transport import counting_entropy

Row = tuple[str, str]
UDP_SRV, TCP_SRV = ("_sip._udp.example.com", "SRV"), ("_sip._tcp.example.com", "SRV")
TLS_SRV, HOST = ("_sips._tcp.example.com", "SRV"), ("example.com", "A")
A, B = ("a.example.com", "A"), ("b.example.com", "A")


def table(rows: dict[Row, list[Record]], ttl: float = 60) -> FakeNameServer:
    return FakeNameServer({key: Answer(tuple(records), ttl) for key, records in rows.items()})


@pytest.fixture
def resolver(clock: ManualClock) -> Callable[..., Resolver]:
    def make(server: FakeNameServer, allow: tuple[str, ...] = ()) -> Resolver:
        return Resolver(
            policy=NetworkPolicy(allow), clock=clock, entropy=counting_entropy(), server=server
        )

    return make


async def resolve(resolver: Resolver, uri: str) -> list[tuple[str, str, int, str | None]]:
    targets = await resolver.resolve(SipUri.parse(uri))
    return [(t.transport.value, t.host, t.port, t.tls_name) for t in targets]


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:8.8.8.8", ("udp", "8.8.8.8", 5060, None)),
        ("sip:8.8.8.8:5070", ("udp", "8.8.8.8", 5070, None)),
        ("sip:8.8.8.8;transport=tcp", ("tcp", "8.8.8.8", 5060, None)),
        ("sips:8.8.8.8", ("tls", "8.8.8.8", 5061, "8.8.8.8")),
        ("sip:[2600::1];transport=tls", ("tls", "2600::1", 5061, "2600::1")),
    ],
)
async def test_a_literal_asks_no_name_server(
    resolver: Callable[..., Resolver], uri: str, target: object
) -> None:
    server = table({})
    assert await resolve(resolver(server), uri) == [target]
    assert server.asked == []


async def test_naptr_chooses_the_transport_and_srv_the_servers(
    resolver: Callable[..., Resolver],
) -> None:
    server = table(
        {
            ("example.com", "NAPTR"): [
                Naptr(10, 20, "s", "SIP+D2U", UDP_SRV[0]),
                Naptr(10, 10, "s", "SIP+D2T", "_sip._tcp.other.example"),
            ],
            ("_sip._tcp.other.example", "SRV"): [Srv(1, 0, 5070, "a.example.com")],
            UDP_SRV: [Srv(1, 0, 5080, "b.example.com")],
            A: ["8.8.8.8"],
            B: ["8.8.4.4"],
        }
    )
    assert await resolve(resolver(server), "sip:bob@example.com") == [
        ("tcp", "8.8.8.8", 5070, None),
        ("udp", "8.8.4.4", 5080, None),
    ]


async def test_without_naptr_the_srv_names_of_our_transports_are_tried_in_our_order(
    resolver: Callable[..., Resolver],
) -> None:
    server = table(
        {
            TCP_SRV: [Srv(1, 0, 5070, "a.example.com")],
            UDP_SRV: [Srv(9, 0, 5060, "a.example.com"), Srv(1, 0, 5062, "b.example.com")],
            A: ["8.8.8.8"],
            B: ["8.8.4.4"],
        }
    )
    assert await resolve(resolver(server), "sip:example.com") == [
        ("udp", "8.8.4.4", 5062, None),
        ("udp", "8.8.8.8", 5060, None),
        ("tcp", "8.8.8.8", 5070, None),
    ]


async def test_without_any_srv_the_addresses_of_the_domain_serve_both_families(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({HOST: ["8.8.8.8"], ("example.com", "AAAA"): ["2600::1"]})
    assert await resolve(resolver(server), "sip:example.com") == [
        ("udp", "8.8.8.8", 5060, None),
        ("udp", "2600::1", 5060, None),
    ]


async def test_an_explicit_port_turns_naptr_and_srv_off(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({HOST: ["8.8.8.8"], UDP_SRV: [Srv(1, 0, 5070, "b.example.com")]})
    assert await resolve(resolver(server), "sip:example.com:5060") == [
        ("udp", "8.8.8.8", 5060, None)
    ]
    assert {kind for _, kind in server.asked} == {"A", "AAAA"}


async def test_an_explicit_transport_asks_for_its_own_srv_only(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({TCP_SRV: [Srv(1, 0, 5070, "a.example.com")], A: ["8.8.8.8"]})
    assert await resolve(resolver(server), "sip:example.com;transport=tcp") == [
        ("tcp", "8.8.8.8", 5070, None)
    ]
    assert ("example.com", "NAPTR") not in server.asked
    assert UDP_SRV not in server.asked


@pytest.mark.parametrize("uri", ["sips:example.com", "sip:example.com;transport=tls"])
async def test_a_secure_uri_never_leads_to_udp_or_tcp(
    resolver: Callable[..., Resolver], uri: str
) -> None:
    server = table(
        {
            ("example.com", "NAPTR"): [Naptr(1, 1, "s", "SIP+D2U", UDP_SRV[0])],
            UDP_SRV: [Srv(1, 0, 5060, "a.example.com")],
            TCP_SRV: [Srv(1, 0, 5060, "a.example.com")],
            A: ["8.8.8.8"],
            HOST: ["8.8.4.4"],
        }
    )
    assert await resolve(resolver(server), uri) == [("tls", "8.8.4.4", 5061, "example.com")]


async def test_tls_is_checked_against_the_domain_and_not_against_the_server_found(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({TLS_SRV: [Srv(1, 0, 5061, "a.example.com")], A: ["8.8.8.8"]})
    assert await resolve(resolver(server), "sips:example.com") == [
        ("tls", "8.8.8.8", 5061, "example.com")
    ]


async def test_answers_in_refused_networks_and_at_odd_ports_are_left_out(
    resolver: Callable[..., Resolver],
) -> None:
    server = table(
        {
            UDP_SRV: [Srv(1, 0, 22, "a.example.com"), Srv(2, 0, 5060, "b.example.com")],
            A: ["8.8.8.8"],
            B: ["10.0.0.1", "8.8.4.4", "127.0.0.1"],
        }
    )
    assert await resolve(resolver(server), "sip:example.com") == [("udp", "8.8.4.4", 5060, None)]


async def test_a_domain_with_refused_addresses_alone_is_refused(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({HOST: ["10.0.0.1"], ("example.com", "AAAA"): ["::ffff:8.8.8.8"]})
    with pytest.raises(RefusedAddress):
        await resolve(resolver(server), "sip:example.com")
    with pytest.raises(RefusedAddress):
        await resolve(resolver(server), "sip:169.254.169.254")


async def test_a_name_that_moves_into_a_private_network_is_refused_over_a_real_name_server(
    clock: ManualClock,
) -> None:
    async with WireNameServer({"example.com": {"A": ["8.8.8.8"]}}) as wire:
        resolver = Resolver(
            policy=NetworkPolicy(),
            clock=clock,
            entropy=counting_entropy(),
            nameservers=[wire.address],
            families=[4],
        )
        try:
            uri = SipUri.parse("sip:example.com:5060")
            assert await resolver.resolve(uri) == [Target(Transport.UDP, "8.8.8.8", 5060)]
            wire.zone["example.com"]["A"] = ["127.0.0.1"]
            await clock.advance(2)
            with pytest.raises(RefusedAddress):
                await resolver.resolve(uri)
            wire.zone["example.com"]["A"] = ["127.0.0.1", "8.8.4.4"]
            await clock.advance(2)
            assert await resolver.resolve(uri) == [Target(Transport.UDP, "8.8.4.4", 5060)]
        finally:
            await resolver.close()


async def test_a_plan_holds_for_the_shortest_ttl_that_it_rests_on(
    resolver: Callable[..., Resolver], clock: ManualClock
) -> None:
    server = table({UDP_SRV: [Srv(1, 0, 5060, "a.example.com")], A: ["8.8.8.8"]}, ttl=600)
    server.answers[A] = Answer(("8.8.8.8",), 20)
    ours = resolver(server)
    await resolve(ours, "sip:example.com")
    server.answers[A] = Answer(("8.8.4.4",), 20)
    await clock.advance(19)
    assert await resolve(ours, "sip:example.com") == [("udp", "8.8.8.8", 5060, None)]
    await clock.advance(1)
    assert await resolve(ours, "sip:example.com") == [("udp", "8.8.4.4", 5060, None)]


async def test_an_outage_of_the_name_servers_is_bridged_by_the_last_good_answers(
    resolver: Callable[..., Resolver], clock: ManualClock
) -> None:
    server = table({UDP_SRV: [Srv(1, 0, 5060, "a.example.com")], A: ["8.8.8.8"]})
    ours = resolver(server)
    before = await resolve(ours, "sip:example.com")
    server.silent = True
    await clock.advance(1800)
    assert await resolve(ours, "sip:example.com") == before
    await clock.advance(3600)
    with pytest.raises(TransportError):
        await resolve(ours, "sip:example.com")


async def test_one_server_that_cannot_be_looked_up_leaves_the_others(
    resolver: Callable[..., Resolver],
) -> None:
    server = table(
        {
            UDP_SRV: [Srv(1, 0, 5060, "a.example.com"), Srv(2, 0, 5060, "b.example.com")],
            B: ["8.8.4.4"],
        }
    )
    server.silent_for = {A, ("a.example.com", "AAAA"), TCP_SRV}
    assert await resolve(resolver(server), "sip:example.com") == [("udp", "8.8.4.4", 5060, None)]


async def test_servers_none_of_which_can_be_looked_up_are_an_outage(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({UDP_SRV: [Srv(1, 0, 5060, "a.example.com")], HOST: ["8.8.8.8"]})
    server.silent_for = {A, ("a.example.com", "AAAA")}
    with pytest.raises(TransportError):
        await resolve(resolver(server), "sip:example.com")


async def test_name_servers_that_fail_for_naptr_alone_do_no_harm(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({HOST: ["8.8.8.8"]})
    server.silent_for = {("example.com", "NAPTR")}
    assert await resolve(resolver(server), "sip:example.com") == [("udp", "8.8.8.8", 5060, None)]


@pytest.mark.parametrize("host", [".", "127.0.0.1.", "2130706433", "a_b.example.com"])
async def test_a_srv_record_that_leads_to_no_host_name_leads_nowhere(
    resolver: Callable[..., Resolver], host: str
) -> None:
    server = table({UDP_SRV: [Srv(1, 0, 5060, host)]})
    with pytest.raises(TransportError):
        await resolve(resolver(server), "sip:example.com;transport=udp")


async def test_a_domain_without_any_server_is_an_error(
    resolver: Callable[..., Resolver],
) -> None:
    with pytest.raises(TransportError, match="no server"):
        await resolve(resolver(table({})), "sip:example.com")


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
async def test_disguised_literals_ask_no_name_server(
    resolver: Callable[..., Resolver], host: str
) -> None:
    server = table({})
    with pytest.raises(FieldError):
        await resolve(resolver(server), f"sip:{host}")
    assert server.asked == []


async def test_localhost_is_loopback_and_needs_no_name_server(
    resolver: Callable[..., Resolver],
) -> None:
    server = table({})
    ours = resolver(server, allow=("127.0.0.0/8",))
    assert await resolve(ours, "sip:localhost:5060") == [("udp", "127.0.0.1", 5060, None)]
    assert server.asked == []
    with pytest.raises(RefusedAddress):
        await resolve(resolver(server), "sip:pbx.localhost:5060")


async def test_websocket_needs_an_explicit_port_that_the_policy_passes(
    resolver: Callable[..., Resolver],
) -> None:
    ours = resolver(table({HOST: ["8.8.8.8"]}))
    assert await resolve(ours, "sip:example.com:8443;transport=wss") == [
        ("wss", "8.8.8.8", 8443, "example.com")
    ]
    with pytest.raises(RefusedAddress):
        await resolve(ours, "sip:example.com;transport=ws")
