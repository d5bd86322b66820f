"""Providers of every kind: how they are found, connected to, and what they make of our Contact."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from sipis.sip.digest import Algorithm
from sipis.sip.flow import Transport
from sipis.sip.message import Request
from sipis.sip.uri import SipUri
from sipis.transport.tls import TlsSettings
from sipis.world.agent import Agent
from sipis.world.call import Caller
from sipis.world.dns import NameServer
from sipis.world.handset import Handset
from sipis.world.provider import LISTENERS, Provider
from sipis.world.registrar import Binding
from tests.scenarios.conftest import Town
from tests.support.processes import free_port_pair

pytestmark = pytest.mark.timeout(30)

DOMAIN = "provider.example"
EVERYWHERE = (*LISTENERS, "tls:127.0.0.1:0")


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    names = NameServer()
    yield names
    await names.stop()


@pytest.fixture
async def town(empty_town: Town, names: NameServer) -> AsyncIterator[Town]:
    """A town whose provider has a certificate and a name."""
    town = empty_town
    town.certified()
    ca_file = str(town.stage.ca.write_root(town.folder))
    async with AsyncExitStack() as open_:
        provider = Provider(DOMAIN, listeners=EVERYWHERE, tls=certificate(town, DOMAIN))
        town.provider = await open_.enter_async_context(provider)
        await town.serve(
            sip={"nameservers": [await names.start()]}, providers={DOMAIN: {"ca_file": ca_file}}
        )
        yield town
        await town.stop()


def certificate(town: Town, host: str) -> TlsSettings:
    """A certificate of the world for a provider that calls itself so."""
    cert, key = town.folder / f"{host}.pem", town.folder / f"{host}.key"
    for file, pem in zip((cert, key), town.stage.ca.issue(host), strict=True):
        file.write_bytes(pem)
    return TlsSettings(cert, key)


def srv(names: NameServer, transport: Transport, *rows: str) -> None:
    prefix = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}[transport.value]
    names.put(prefix + DOMAIN, "SRV", *rows)
    names.put("edge.example", "A", "127.0.0.1")


def by_name(town: Town, transport: Transport) -> Mapping[str, object]:
    port = town.provider.port(transport)
    return {"registrar": f"sip:{DOMAIN}:{port};transport={transport.value}"}


async def talks(town: Town, phone: Handset) -> Binding:
    caller, _ = await town.talk(phone)
    assert (await caller.bye()).status == 200
    return town.provider.registrar.bindings("alice")[-1]


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS])
async def test_a_provider_is_spoken_to_as_the_account_says(
    town: Town, names: NameServer, transport: Transport
) -> None:
    names.put(DOMAIN, "A", "127.0.0.1")
    phone = await town.asleep(account=by_name(town, transport))
    binding = await talks(town, phone)
    assert binding.flow.transport is transport


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.TLS])
async def test_a_provider_hangs_up_on_a_phone_that_it_reaches_over_a_stream(
    town: Town, names: NameServer, transport: Transport
) -> None:
    names.put(DOMAIN, "A", "127.0.0.1")
    phone = await town.asleep(account=by_name(town, transport))
    caller, callee = await town.talk(phone)
    assert (await callee.ask("INFO", b"5", kind="application/dtmf")).status == 200
    assert (await callee.bye()).status == 200
    await caller.ended.wait()


async def test_a_wildcard_certificate_is_untrusted_until_it_is_pinned(
    town: Town, names: NameServer
) -> None:
    names.put(DOMAIN, "A", "127.0.0.1")
    shown = certificate(town, "*.example")
    assert shown.cert_file is not None
    pin = x509.load_pem_x509_certificate(shown.cert_file.read_bytes()).fingerprint(SHA256()).hex()
    async with Provider(DOMAIN, listeners=EVERYWHERE, tls=shown) as town.provider:
        account = by_name(town, Transport.TLS)
        phone = await town.phone()
        await phone.enable({"aor": town.provider.add("bob", "b"), "password": "b", **account})
        assert (await town.state(phone, "error"))["reason"] == "untrusted"
        await town.stop()
        await town.serve(providers={DOMAIN: {"tls_pin": pin}})
        await town.asleep(account=account)


async def test_a_domain_says_by_naptr_how_it_wants_to_be_spoken_to(
    town: Town, names: NameServer
) -> None:
    names.put(
        DOMAIN, "NAPTR",
        f'20 10 "S" "SIP+D2U" "" _sip._udp.{DOMAIN}.',
        f'10 10 "S" "SIPS+D2T" "" _sips._tcp.{DOMAIN}.',
    )  # fmt: skip
    srv(names, Transport.TLS, f"1 1 {town.provider.port(Transport.TLS)} edge.example.")
    srv(names, Transport.UDP, f"1 1 {town.provider.port(Transport.UDP)} edge.example.")
    phone = await town.asleep(account={"registrar": None})
    assert (await talks(town, phone)).flow.transport is Transport.TLS


async def test_a_domain_with_srv_records_alone_is_found(town: Town, names: NameServer) -> None:
    srv(names, Transport.UDP, f"1 1 {town.provider.port(Transport.UDP)} edge.example.")
    phone = await town.asleep(account={"registrar": None})
    assert (await talks(town, phone)).flow.transport is Transport.UDP


async def test_a_dead_server_is_passed_over_for_the_next(town: Town, names: NameServer) -> None:
    srv(
        names, Transport.TCP,
        f"1 1 {free_port_pair()} edge.example.",
        f"2 1 {town.provider.port(Transport.TCP)} edge.example.",
    )  # fmt: skip
    phone = await town.asleep(account={"registrar": f"sip:{DOMAIN};transport=tcp"})
    await talks(town, phone)


async def test_a_name_that_leads_into_a_refused_network_is_sent_nothing(
    town: Town, names: NameServer
) -> None:
    names.put(DOMAIN, "A", "10.0.0.1")
    phone = await town.phone()
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret"}
    assert (await phone.enable(account)).status == 201
    body = await town.state(phone, "error")
    assert body["reason"] == "unreachable"
    assert town.provider.registrar.requests.items == []


@pytest.mark.parametrize(
    "algorithms",
    [
        (Algorithm.MD5,),
        (Algorithm.SHA256,),
        (Algorithm.SHA512_256,),
        (Algorithm.SHA256, Algorithm.MD5),
        (Algorithm.MD5_SESS,),
    ],
)
async def test_whatever_a_registrar_asks_for_is_answered(
    town: Town, algorithms: tuple[Algorithm, ...]
) -> None:
    town.provider.registrar.habits.algorithms = algorithms
    phone = await town.asleep()
    said = town.provider.registrar.accepted.items[-1].headers.get("Authorization") or ""
    if algorithms != (Algorithm.MD5,):
        assert f"algorithm={algorithms[0].value}" in said
    await talks(town, phone)


@pytest.mark.parametrize("qop", ["", "auth-int", "auth,auth-int"])
async def test_every_quality_of_protection_is_answered(town: Town, qop: str) -> None:
    town.provider.registrar.habits.qop = qop
    await talks(town, await town.asleep())


def with_user(binding: Binding, change: Callable[[SipUri], SipUri]) -> Binding:
    """A binding as a provider sees it that writes another Request-URI."""
    uri = binding.contact.uri
    assert isinstance(uri, SipUri)
    return replace(binding, contact=replace(binding.contact, uri=change(uri)))


def fork_of(invite: Request) -> Request:
    """The same INVITE on another branch."""
    fork = Request(invite.method, invite.uri_text, invite.headers.copy(), invite.body)
    fork.headers.remove("Via")
    return fork


class TestContactIsMangled:
    """Providers that do not call the Contact as it was registered."""

    async def test_the_line_parameter_tells(self, town: Town) -> None:
        phone = await town.asleep()
        [binding] = town.provider.registrar.bindings("alice")
        mangled = with_user(binding, lambda uri: replace(uri, user="12345"))
        await self._rings(town, phone, mangled)

    async def test_the_to_header_tells(self, town: Town) -> None:
        phone = await town.asleep()
        [binding] = town.provider.registrar.bindings("alice")
        mangled = with_user(binding, lambda uri: replace(uri, user="12345").without_param("line"))
        await self._rings(town, phone, mangled)

    async def test_two_phones_behind_one_address_both_ring(self, town: Town) -> None:
        first, second = await town.asleep(), await town.asleep()
        bare = [
            with_user(it, lambda uri: replace(uri, user="alice").without_param("line"))
            for it in town.provider.registrar.bindings("alice")
        ]
        to_first = town.provider.call("alice", binding=bare[0])
        await town.pushed(first, "call")
        async with Agent() as branch:
            flow = await branch.flow_to(*bare[1].flow.remote, Transport.UDP)
            fork = fork_of(to_first.invite)
            to_second = Caller(branch, fork, flow)
            await town.pushed(second, "call")
            assert (await to_first.final).status == (await to_second.final).status == 200
            await (await second.callees.next()).acknowledged.wait()
            assert (await branch.ask(fork_of(to_first.invite), flow)).status == 482

    async def _rings(self, town: Town, phone: Handset, binding: Binding) -> None:
        caller = town.provider.call("alice", binding=binding)
        await town.pushed(phone, "call")
        assert (await caller.final).status == 200
        await (await phone.callees.next()).acknowledged.wait()

    async def test_the_flow_of_one_account_tells(self, town: Town, names: NameServer) -> None:
        names.put(DOMAIN, "A", "127.0.0.1")
        await town.stop()
        await town.serve(providers={DOMAIN: {"flows": "per-account"}})
        phones = {}
        for user in ("alice", "bob"):
            phones[user] = await town.asleep(user, account=by_name(town, Transport.TCP))
            await town.state(phones[user], "registered")
        [binding] = town.provider.registrar.bindings("bob")
        [other] = town.provider.registrar.bindings("alice")
        assert binding.flow != other.flow
        mangled = with_user(binding, lambda uri: replace(uri, user="0190").without_param("line"))
        caller = town.provider.call("0190", binding=mangled)
        await town.pushed(phones["bob"], "call")
        assert (await caller.final).status == 200
        await caller.bye()
