"""Warnings about addresses that the outside cannot use."""

import pytest

from sipis.config import SipSettings
from sipis.errors import ConfigError
from sipis.transport import reachable
from sipis.transport.reachable import reachability_warnings


def test_loopback_and_private_listeners_are_warned_of_by_name() -> None:
    found = reachability_warnings(
        SipSettings(
            provider_listeners=("udp:127.0.0.1:5060", "tcp:10.0.0.1:5060"),
            app_listeners=("tcp:192.168.0.1:5070",),
        )
    )
    assert len(found) == 3
    assert "udp:127.0.0.1:5060" in found[0]
    assert "NAT binding" in found[0]
    assert "sip.advertise" in found[1]
    assert "apps" in found[2]


def test_public_listeners_raise_no_warning() -> None:
    public = SipSettings(provider_listeners=("udp:8.8.8.8:5060",), app_listeners=())
    assert reachability_warnings(public) == []


@pytest.mark.parametrize(("own", "warned"), [("8.8.8.8", 0), ("10.0.0.1", 1)])
def test_a_wildcard_is_as_reachable_as_the_address_behind_it(
    monkeypatch: pytest.MonkeyPatch, own: str, warned: int
) -> None:
    monkeypatch.setattr(reachable, "local_address_towards", lambda _: own)
    wildcard = SipSettings(provider_listeners=("udp:0.0.0.0:5060",), app_listeners=())
    assert len(reachability_warnings(wildcard)) == warned


@pytest.mark.parametrize(
    ("advertise", "warned"), [("sip.example.com", 0), ("8.8.8.8:5060", 0), ("192.168.0.1", 1)]
)
def test_what_is_advertised_is_judged_in_place_of_the_listeners(
    advertise: str, warned: int
) -> None:
    assert len(reachability_warnings(SipSettings(advertise=advertise))) == warned


def test_settings_that_cannot_be_read_are_an_error() -> None:
    with pytest.raises(ConfigError):
        reachability_warnings(SipSettings(advertise="a b"))
