"""The network policy: refused networks, strict hosts, ports."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import ConfigError, FieldError, RefusedAddress
from sipis.transport.networks import MOST_VERDICTS, NetworkPolicy, is_public, parse_address

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:0:1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

NOT_LITERALS = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "127.0.0.01",
    "１２７.０.０.１",  # noqa: RUF001 - full-width digits
    "127。0。0。1",
    "fe80::1%eth0",
    "fe80::1%25eth0",
    "[::1]",
    "127.0.0.1.",
    "1.2.3.4.5",
    "256.0.0.1",
    "foo.0x7f",
    "foo.1",
]


@pytest.mark.parametrize("host", REFUSED)
def test_no_address_of_the_table_may_be_sent_to(host: str) -> None:
    with pytest.raises(RefusedAddress):
        NetworkPolicy().check(host, 5060)


@pytest.mark.parametrize("host", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2600::1", "2a00::1"])
def test_public_addresses_pass(host: str) -> None:
    NetworkPolicy().check(host, 5060)
    assert is_public(host)


@given(st.ip_addresses(v=4))
def test_an_address_is_public_in_no_disguise_of_ipv6(address: IPv4Address) -> None:
    number = int(address)
    for prefix in ("::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::"):
        assert not is_public(str(IPv6Address(int(IPv6Address(prefix)) | number)))
    assert not is_public(str(IPv6Address(0x2002 << 112 | number << 80 | 1)))


@given(st.ip_addresses())
def test_what_the_standard_library_calls_special_is_never_public(
    address: IPv4Address | IPv6Address,
) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    assert not (special and is_public(str(address)))


@pytest.mark.parametrize("port", [0, 1, 22, 25, 53, 80, 443, 1023, -1, 65_536])
def test_ports_of_other_services_are_refused(port: int) -> None:
    with pytest.raises(RefusedAddress, match="port"):
        NetworkPolicy().check("8.8.8.8", port)


@pytest.mark.parametrize("port", [5060, 5061, 1024, 65_535])
def test_sip_ports_and_unprivileged_ones_pass(port: int) -> None:
    NetworkPolicy().check("8.8.8.8", port)


def test_the_operator_can_allow_a_network_but_no_further_port() -> None:
    policy = NetworkPolicy(["10.0.0.0/8", "fd00::/8"])
    policy.check("10.1.2.3", 5060)
    policy.check("fd00::1", 5060)
    for host, port in (("10.1.2.3", 22), ("192.168.0.1", 5060), ("::ffff:10.1.2.3", 5060)):
        with pytest.raises(RefusedAddress):
            policy.check(host, port)


def test_an_allowed_network_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError) as wrong:
        NetworkPolicy(["10.0.0.1/8"])
    assert wrong.value.key == "network.allow"


@pytest.mark.parametrize("host", NOT_LITERALS)
def test_disguised_literals_are_neither_addresses_nor_names(host: str) -> None:
    policy = NetworkPolicy(["0.0.0.0/0", "::/0"])
    assert parse_address(host) is None
    with pytest.raises(RefusedAddress):
        policy.check(host, 5060)
    with pytest.raises(FieldError) as wrong:
        policy.check_name(host)
    assert wrong.value.field == "host"


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com.",
        "sip-1.example.com",
        "xn--bcher-kva.example",
        "localhost",
        "3com.com",
        "1.example",
        "a" * 63 + ".com",
        "8.8.8.8",
        "2600::1",
    ],
)
def test_host_names_and_literals_pass_the_grammar(host: str) -> None:
    NetworkPolicy().check_name(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a.com",
        "a-.com",
        "a_b.com",
        "a b",
        "bücher.example",
        "a" * 64,
        "a/b",
        "a@b",
        "a:5060",
        "x." * 127 + "com",
        "exam\nple.com",
        "a\x00.com",
    ],
)
def test_what_is_no_host_name_is_refused_by_field(host: str) -> None:
    with pytest.raises(FieldError):
        NetworkPolicy().check_name(host)


@given(st.text(max_size=40))
def test_any_text_is_passed_or_refused_but_never_crashes(host: str) -> None:
    policy = NetworkPolicy()
    policy.permits(host, 5060)
    try:
        policy.check_name(host)
    except FieldError:
        return
    assert host.isascii()


def test_verdicts_are_remembered_within_bounds() -> None:
    policy = NetworkPolicy()
    for port in range(1024, 1024 + MOST_VERDICTS + 10):
        policy.check("8.8.8.8", port)
    assert len(policy._verdicts) <= MOST_VERDICTS
    assert not policy.permits("10.0.0.1", 5060)
    assert not policy.permits("10.0.0.1", 5060)
