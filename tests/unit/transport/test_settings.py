"""From the operator's file to the parts of this room."""

import pytest

from sipis.clock import ManualClock
from sipis.config import parse
from sipis.errors import ConfigError
from sipis.sip.flow import Door
from sipis.sip.uri import SipUri
from sipis.transport.settings import TransportSettings
from sipis.transport.tls import TlsPolicy
from tests.support.transport import Authority, Issued, counting_entropy


def settings(**sections: object) -> TransportSettings:
    return TransportSettings.of(parse(sections))


def test_the_defaults_are_on_loopback_and_usable() -> None:
    made = settings()
    assert {each.host for each in made.listeners} == {"127.0.0.1"}
    assert {each.door for each in made.listeners} == {Door.PROVIDER, Door.APP}


def test_each_provider_brings_its_own_tls_policy(authority: Authority) -> None:
    made = settings(
        providers={"Example.com": {"ca_file": str(authority.file)}, "other.example": {}}
    )
    assert dict(made.tls.providers) == {"example.com": TlsPolicy(authority.file)}


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"sip": {"app_listeners": ["tls:127.0.0.1:0"]}}, "sip.cert_file"),
        ({"sip": {"app_listeners": ["tls"]}}, "sip.app_listeners"),
        ({"sip": {"advertise": "a b"}}, "sip.advertise"),
        ({"network": {"allow": ["10.0.0.1/8"]}}, "network.allow"),
        ({"providers": {"a.example": {"ca_file": "/nowhere"}}}, "providers.a.example.ca_file"),
        ({"providers": {"a.example": {"tls_pin": "x"}}}, "providers.a.example.tls_pin"),
        ({"providers": {"a.example": {"udp_source": "pool"}}}, "providers.a.example.udp_source"),
    ],
)
def test_what_cannot_be_used_is_named_before_anything_is_opened(
    sections: dict[str, object], key: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        settings(**sections)
    assert wrong.value.key == key


async def test_an_endpoint_made_from_settings_listens_where_they_say(
    clock: ManualClock, server_certificate: Issued
) -> None:
    made = settings(
        sip={
            "provider_listeners": ["udp:127.0.0.1:0"],
            "app_listeners": ["tls:127.0.0.1:0"],
            "cert_file": str(server_certificate.cert_file),
            "key_file": str(server_certificate.key_file),
        }
    )
    endpoint = made.endpoint(clock=clock, policy=made.policy(), entropy=counting_entropy())
    await endpoint.start()
    assert [each.transport.value for each in endpoint.listening] == ["udp", "tls"]
    assert all(each.port for each in endpoint.listening)
    await endpoint.stop()


async def test_the_resolver_tries_the_families_in_which_the_provider_door_listens(
    clock: ManualClock,
) -> None:
    made = settings(
        sip={"provider_listeners": ["udp:[::1]:0"]},
        network={"allow": ["127.0.0.0/8", "::1/128"]},
    )
    resolver = made.resolver(clock=clock, policy=made.policy(), entropy=counting_entropy())
    found = await resolver.resolve(SipUri.parse("sip:localhost:5060"))
    assert [target.host for target in found] == ["::1"]
