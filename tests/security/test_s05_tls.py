"""S5: an account on TLS is spoken to over TLS with a certificate that holds, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sipis.sip.flow import Transport
from sipis.transport.tls import TlsSettings
from sipis.world import tls as world_tls
from sipis.world.dns import NameServer
from sipis.world.provider import Provider
from sipis.world.tls import ThrowawayCa
from tests.scenarios.conftest import Town
from tests.support.wire import Wire

pytestmark = pytest.mark.timeout(30)

DOMAIN = "provider.example"


def pair(folder: Path, name: str, authority: ThrowawayCa, host: str) -> TlsSettings:
    files = folder / f"{name}.pem", folder / f"{name}.key"
    for file, pem in zip(files, authority.issue(host), strict=True):
        file.write_bytes(pem)
    return TlsSettings(*files)


@pytest.fixture
async def providers(
    empty_town: Town, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, Provider]]:
    """One provider whose certificate holds, and others whose certificates do not."""
    folder, trusted = empty_town.folder, empty_town.stage.ca
    certificates = {
        "good.example": pair(folder, "good", trusted, "good.example"),
        "misnamed.example": pair(folder, "misnamed", trusted, "another.example"),
        "foreign.example": pair(folder, "foreign", ThrowawayCa(), "foreign.example"),
    }
    with monkeypatch.context() as past:
        past.setattr(world_tls, "END", datetime(2021, 1, 1, tzinfo=UTC))
        certificates["expired.example"] = pair(folder, "expired", trusted, "expired.example")
    async with AsyncExitStack() as open_:
        yield {
            domain: await open_.enter_async_context(
                Provider(domain, listeners=["tls:127.0.0.1:0"], tls=settings)
            )
            for domain, settings in certificates.items()
        }


async def test_a_certificate_that_does_not_hold_gets_no_registration(
    empty_town: Town, names: NameServer, providers: dict[str, Provider]
) -> None:
    town = empty_town
    ca_file = str(town.stage.ca.write_root(town.folder))
    await town.serve(
        api={"requests_per_minute": 1_000_000},
        sip={"nameservers": [names.address]},
        providers={domain: {"ca_file": ca_file} for domain in providers},
    )
    phones = {}
    for domain, provider in providers.items():
        names.put(domain, "A", "127.0.0.1")
        phones[domain] = await town.phone()
        await phones[domain].enable({
            "aor": provider.add("alice", "secret"), "password": "secret",
            "registrar": f"sip:{domain}:{provider.port(Transport.TLS)};transport=tls",
        })  # fmt: skip
    await town.state(phones.pop("good.example"), "registered")
    stands = await asyncio.gather(*(town.state(phone, "error") for phone in phones.values()))
    assert {body["reason"] for body in stands} == {"untrusted"}
    reached = [domain for domain, it in providers.items() if it.registrar.requests.items]
    assert reached == ["good.example"]


@pytest.mark.parametrize("uri", [f"sips:{DOMAIN}", f"sip:{DOMAIN};transport=tls"])
async def test_an_account_on_tls_never_falls_to_udp_or_tcp(
    empty_town: Town, names: NameServer, wire: Wire, uri: str
) -> None:
    town = empty_town
    for transport in (Transport.UDP, Transport.TCP):
        port = town.provider.port(transport)
        names.put(f"_sip._{transport.value}.{DOMAIN}", "SRV", f"1 1 {port} edge.example.")
    names.put(DOMAIN, "NAPTR", f'10 10 "S" "SIP+D2U" "" _sip._udp.{DOMAIN}.')
    names.put(DOMAIN, "A", "127.0.0.1").put("edge.example", "A", "127.0.0.1")
    await town.serve(api={"requests_per_minute": 1_000_000}, sip={"nameservers": [names.address]})
    phone = await town.phone()
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret"}
    await phone.enable(account | {"registrar": uri})
    await town.state(phone, "error")
    plain = {("127.0.0.1", town.provider.port(it)) for it in (Transport.UDP, Transport.TCP)}
    assert not plain & set(wire.destinations)
    assert ("127.0.0.1", 5061) in wire.destinations
    assert town.provider.registrar.requests.items == []
