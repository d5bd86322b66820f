"""S2: no name, answer or header makes the server send into a network that the policy refuses."""

import asyncio

import pytest

from sipis.world.dns import NameServer
from sipis.world.handset import Handset
from sipis.world.registrar import Refusal
from tests.scenarios.conftest import Town
from tests.support.life import OtherClock, refresh_now, serve_by
from tests.support.wire import Wire

pytestmark = pytest.mark.timeout(30)

INSIDE = ("10.0.0.0/8", "169.254.0.0/16", "fc00::/7")


async def enabled(town: Town, **account: object) -> Handset:
    phone = await town.phone()
    given = {"aor": town.provider.add("alice", "secret"), "password": "secret", **account}
    assert (await phone.enable(given)).status == 201
    return phone


LEADING_INSIDE: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {
    "a.example": {("a.example", "A"): ("10.0.0.1",)},
    "aaaa.example": {("aaaa.example", "AAAA"): ("fd00::1",)},
    "several.example": {("several.example", "A"): ("10.0.0.1", "10.0.0.2", "169.254.169.254")},
    "alias.example": {
        ("alias.example", "CNAME"): ("further.example.",),
        ("further.example", "CNAME"): ("end.example.",),
        ("end.example", "A"): ("10.0.0.1",),
    },
    "srv.example": {
        ("_sip._udp.srv.example", "SRV"): ("1 1 5060 metadata.example.",),
        ("metadata.example", "A"): ("169.254.169.254",),
    },
    "port.example": {
        ("_sip._udp.port.example", "SRV"): ("1 1 25 edge.example.",),
        ("edge.example", "A"): ("127.0.0.1",),
    },
    "naptr.example": {
        ("naptr.example", "NAPTR"): ('10 10 "S" "SIP+D2T" "" _other._tcp.naptr.example.',),
        ("_other._tcp.naptr.example", "SRV"): ("1 1 6379 inside.example.",),
        ("inside.example", "A"): ("10.0.0.1",),
    },
}


async def test_names_that_lead_inside_are_sent_nothing(
    empty_town: Town, names: NameServer, wire: Wire
) -> None:
    for records in LEADING_INSIDE.values():
        for (name, kind), values in records.items():
            names.put(name, kind, *values)
    await empty_town.serve(
        api={"requests_per_minute": 1_000_000}, sip={"nameservers": [names.address]}
    )
    phones = [await enabled(empty_town, aor=f"sip:alice@{domain}") for domain in LEADING_INSIDE]
    stands = await asyncio.gather(*(empty_town.state(phone, "error") for phone in phones))
    assert {body["reason"] for body in stands} == {"unreachable"}
    assert wire.within(*INSIDE) == []
    assert ("127.0.0.1", 25) not in wire.destinations
    assert empty_town.provider.registrar.requests.items == []


async def test_a_name_that_moves_inside_later_is_left(
    empty_town: Town, names: NameServer, wire: Wire
) -> None:
    town = empty_town
    names.put("edge.example", "A", "127.0.0.1", ttl=1)
    clock = OtherClock(faster=20)
    await serve_by(
        town, clock, api={"requests_per_minute": 1_000_000}, sip={"nameservers": [names.address]}
    )
    port = town.provider.port()
    phone = await enabled(town, registrar=f"sip:edge.example:{port}")
    await town.state(phone, "registered")
    names.put("edge.example", "A", "10.0.0.1", ttl=1)
    asked = len(names.asked)
    await clock.sleep(70)
    await refresh_now(town, phone)
    while len(names.asked) == asked:
        await clock.sleep(0.1)
    await clock.sleep(2)
    assert wire.within(*INSIDE) == []


async def test_a_redirection_is_not_followed(town: Town, wire: Wire) -> None:
    town.provider.registrar.habits.refusals.append(
        Refusal(302, (("Contact", "<sip:alice@10.0.0.1:5060>"),))
    )
    phone = await enabled(town, registrar=town.provider.address())
    assert (await town.state(phone, "error"))["reason"] == "redirected"
    assert wire.within(*INSIDE) == []


async def test_a_call_whose_headers_lead_inside_ends_without_a_packet_there(
    town: Town, wire: Wire
) -> None:
    phone = await town.asleep()
    caller = town.provider.call("alice", headers=[
        ("Record-Route", "<sip:10.0.0.1:5060;lr>"),
        ("Record-Route", "<sip:10.0.0.2:5060;lr>"),
    ], body=b"v=0\r\no=- 1 1 IN IP4 10.0.0.3\r\ns=-\r\nc=IN IP4 10.0.0.3\r\nt=0 0\r\n"
            b"m=audio 40000 RTP/AVP 0\r\na=candidate:1 1 UDP 1 10.0.0.4 4 typ host")  # fmt: skip
    await town.pushed(phone, "call")
    callee = await phone.callees.next()
    assert (await caller.final).status == 200
    await callee.acknowledged.wait()
    await callee.bye()
    assert wire.within(*INSIDE) == []


async def test_a_caller_whose_contact_lies_inside_is_hung_up_where_he_called_from(
    town: Town, wire: Wire
) -> None:
    phone = await town.asleep()
    await phone.register()
    for contact in ("10.0.0.1:5060", "[fd00::1]:5060", "169.254.169.254:8080"):
        caller = town.provider.call("alice", headers=[("Contact", f"<sip:carol@{contact}>")])
        callee = await phone.callees.next()
        await caller.final
        await callee.acknowledged.wait()
        assert (await callee.bye()).status == 200
    assert wire.within(*INSIDE) == []


async def test_answers_go_where_a_request_came_from_whatever_its_via_says(
    town: Town, wire: Wire
) -> None:
    await town.asleep()
    [binding] = town.provider.registrar.bindings("alice")
    request = (
        f"OPTIONS {binding.contact.uri} SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 10.0.0.1:5060;received=10.0.0.2;maddr=10.0.0.3;branch=z9hG4bKv\r\n"
        "From: <sip:a@b.example>;tag=1\r\nTo: <sip:alice@provider.example>\r\n"
        "Call-ID: via\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    town.provider.endpoint._transmit(request.encode(), binding.flow)
    assert (await town.provider.options("alice")).status == 200
    assert wire.within(*INSIDE) == []
