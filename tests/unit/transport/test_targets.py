"""Listeners, advertised addresses and shares as the operator writes them."""

import pytest

from sipis.errors import ConfigError
from sipis.sip.flow import Door, Transport
from sipis.transport.targets import Listener, parse_advertised, parse_listeners, share_of


def test_a_listener_reads_back_as_written() -> None:
    for text in ("udp:127.0.0.1:5060", "tls:[::1]:5061", "wss:0.0.0.0:0"):
        assert str(Listener.parse(text, Door.APP)) == text
    assert Listener.parse("tls:[::1]:5061", Door.APP) == Listener(
        Door.APP, Transport.TLS, "::1", 5061
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "udp",
        "udp:127.0.0.1",
        "sctp:127.0.0.1:5060",
        "udp:localhost:5060",
        "udp:::1:5060",
        "udp:127.0.0.1:65536",
        "udp:999.0.0.1:5060",
        "udp:[::g]:5060",
        "udp:127.0.0.1:5060 ",
    ],
)
def test_a_listener_that_cannot_be_read_names_its_setting(text: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        Listener.parse(text, Door.APP)
    assert wrong.value.key == "sip.app_listeners"


def test_both_doors_keep_their_listeners_apart() -> None:
    doors = [each.door for each in parse_listeners(["udp:127.0.0.1:0"], ["tcp:127.0.0.1:0"])]
    assert doors == [Door.PROVIDER, Door.APP]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", None),
        ("sip.example.com", ("sip.example.com", None)),
        ("8.8.8.8:5080", ("8.8.8.8", 5080)),
        ("[2600::1]:5080", ("2600::1", 5080)),
        ("[2600::1]", ("2600::1", None)),
    ],
)
def test_an_advertised_address_is_a_host_and_perhaps_a_port(
    text: str, parsed: tuple[str, int | None] | None
) -> None:
    assert parse_advertised(text) == parsed


@pytest.mark.parametrize("text", ["2600::1", "a b", "host:0", "host:65536", "host:", "<evil>"])
def test_an_advertised_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_advertised(text)


def test_accounts_share_one_source_some_or_none() -> None:
    accounts = [f"account-{number}" for number in range(200)]
    assert {share_of("shared", account) for account in accounts} == {""}
    assert len({share_of("pool 4", account) for account in accounts}) == 4
    assert len({share_of("per-account", account) for account in accounts}) == 200
    assert share_of("pool 4", "a") == share_of("pool 4", "a")


@pytest.mark.parametrize("policy", ["", "pool", "pool 0", "pool x", "pool -1", "shared 2", "each"])
def test_an_unknown_source_policy_is_refused(policy: str) -> None:
    with pytest.raises(ConfigError):
        share_of(policy, "account")
