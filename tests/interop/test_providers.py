"""Providers with peculiar ideas of authentication, and accounts that they do not accept."""

from pathlib import Path

import pytest

from sipis.sip.flow import Transport
from tests.interop.conftest import MakePhone, MakeProvider, MakeServer
from tests.support import sipp
from tests.support.beside import Names
from tests.support.kamailio import DOMAIN
from tests.support.processes import wait_until
from tests.support.trust import Trust

PECULIARITIES = ["WITH_SHA256", "WITH_NO_QOP"]


@pytest.mark.parametrize("peculiarity", PECULIARITIES)
def test_a_peculiar_challenge_is_answered(
    peculiarity: str, providers: MakeProvider, phones: MakePhone, tmp_path: Path
) -> None:
    provider = providers(**{peculiarity: "1"})
    bob = phones(f"bob-{peculiarity.lower()}")
    bob.hand_over(provider.address())
    assert len(provider.contacts()) == 1

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))
    bob.heard("session closed")


def test_a_nonce_that_may_be_used_once_does_not_stop_the_refreshes(
    providers: MakeProvider, phones: MakePhone
) -> None:
    provider = providers(WITH_ONE_TIME_NONCE="1", MAX_EXPIRES="12")
    bob = phones("bob-once")
    bob.hand_over(provider.address())

    wait_until(lambda: provider.registrations() >= 2, "a refresh of the registration")

    assert bob.here("GET").body["state"] == "registered"
    assert len(provider.contacts()) == 1


def test_a_wrong_password_is_tried_once(providers: MakeProvider, phones: MakePhone) -> None:
    provider = providers(NONCE_EXPIRE="301")
    mallory = phones("mallory")
    mallory.enable(provider.address(), password="a guess")
    wait_until(lambda: mallory.here("GET").body["state"] == "unauthorized", "the refusal")

    stands = mallory.here("GET").body
    assert stands["reason"] == "wrong_password"
    assert stands.get("next_attempt_at") is None

    others = phones("bob-beside")
    others.hand_over(provider.address())
    assert provider.requests("REGISTER") == 2 + 2
    assert provider.registrations() == 1


def test_a_domain_is_found_by_dns_and_proves_its_name_over_tls(
    trust: Trust,
    servers: MakeServer,
    providers: MakeProvider,
    phones: MakePhone,
    tmp_path: Path,
) -> None:
    provider = providers(DOMAIN)
    with Names() as names:
        names.records.put(
            DOMAIN, "NAPTR", f'10 10 "S" "SIPS+D2T" "" _sips._tcp.{DOMAIN}.'
        ).put(
            f"_sips._tcp.{DOMAIN}", "SRV", f"1 1 {provider.tls_port} edge.elsewhere.example."
        ).put("edge.elsewhere.example", "A", "127.0.0.1")  # fmt: skip
        server = servers(
            sip={"nameservers": [names.address]},
            providers={DOMAIN: {"ca_file": str(trust.ca_file)}},
        )
        bob = phones("bob-by-name", at=server)
        bob.hand_over(None)

    assert ";transport=tls" in provider.contacts()[0]
    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))
    bob.heard("session closed")


def test_a_server_with_the_certificate_of_another_domain_is_sent_nothing(
    providers: MakeProvider, phones: MakePhone
) -> None:
    impostor = providers("another.example")
    bob = phones("bob-is-careful")
    bob.enable(impostor.address(Transport.TLS))
    wait_until(lambda: bob.here("GET").body["state"] == "error", "the refusal")

    assert bob.here("GET").body["reason"] == "untrusted"
    assert impostor.requests() == 0
