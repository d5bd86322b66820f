"""S1: an account cannot make the server talk to a network that nobody should reach through it."""

import pytest

from sipis.world.dns import NameServer
from tests.scenarios.conftest import Town
from tests.security.conftest import known_ports
from tests.support.wire import Wire

pytestmark = pytest.mark.timeout(30)

FORBIDDEN_V4 = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254",
    "127.0.0.1", "127.0.0.53", "127.255.255.254", "169.254.0.1", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
    "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
FORBIDDEN_V6 = (
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::169.254.169.254",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2620:4f:8000::1",
    "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
)  # fmt: skip
DISGUISED = (
    "2130706433", "0x7f000001", "0x7F.0.0.1", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1",
    "017700000001", "127.0.0.1.", "127.0.0.01", "127.0.0.256", "1.2.3.4.5", "0", "0x0", "0.0",
    "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021",
    "[127.0.0.1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1%lo]", "::1", "provider.example..",
    "-provider.example", "provider_.example", "prov ider.example", "a" * 64 + ".example",
    "%31.0.0.1",
)  # fmt: skip
FORBIDDEN_PORTS = ("8.8.8.8:22", "8.8.8.8:25", "8.8.8.8:53", "8.8.8.8:80", "8.8.8.8:1023",
                   "[2606:4700::1]:443", "8.8.8.8:0", "8.8.8.8:65536")  # fmt: skip

PLACES = (
    *FORBIDDEN_V4, *(f"[{address}]" for address in FORBIDDEN_V6), *DISGUISED, *FORBIDDEN_PORTS,
)  # fmt: skip
PLACED = {
    "account.registrar": lambda place: {"registrar": f"sip:{place}"},
    "account.outbound_proxy": lambda place: {"outbound_proxy": f"sip:{place};lr"},
    "account.aor": lambda place: {"aor": f"sip:alice@{place}"},
}


def test_the_table_is_long_enough() -> None:
    assert len(set(PLACES)) >= 60


@pytest.mark.parametrize("field", PLACED)
async def test_a_forbidden_place_is_refused_before_anything_is_sent(
    empty_town: Town, names: NameServer, wire: Wire, field: str
) -> None:
    town = empty_town
    await town.serve(
        api={"requests_per_minute": 100_000},
        sip={"nameservers": [names.address]},
        network={"allow": []},
    )
    phone = await town.phone()
    wire.destinations.clear()
    accepted = []
    for place in PLACES:
        account = {"aor": "sip:alice@8.8.8.8", "password": "secret"} | PLACED[field](place)
        answer = await phone.enable(account)
        if answer.status != 422 or answer.body.get("field") != field:
            accepted.append((place, answer))
    assert accepted == []
    assert wire.but_to(*known_ports(town)) == []
    assert not names.asked


@pytest.mark.parametrize("network", ["8.8.8.0/24", "2606:4700::/32"])
async def test_an_operator_cannot_be_made_to_talk_inside_by_a_mapped_form_of_what_he_allows(
    empty_town: Town, network: str
) -> None:
    town = empty_town
    await town.serve(network={"allow": [network]})
    phone = await town.phone()
    for place in ("10.0.0.1", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]"):
        answer = await phone.enable({"aor": f"sip:alice@{place}", "password": "secret"})
        assert (answer.status, answer.body["type"]) == (422, "urn:sipis:problem:refused-address")
