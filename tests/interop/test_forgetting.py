"""What is left of an account: nothing readable while it is held, nothing at all afterwards."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.interop.conftest import MakePhone, MakeServer
from tests.support import sipp
from tests.support.kamailio import DOMAIN, Kamailio
from tests.support.phone import Phone, sleep_on
from tests.support.processes import wait_until
from tests.support.server import Server


@pytest.fixture
def server(servers: MakeServer) -> Server:
    """A server of its own, since all its files are read; it tells all that it ever tells."""
    return servers(log={"level": "debug"})


@pytest.fixture
def bob(phones: MakePhone, provider: Kamailio, tmp_path: Path) -> Phone:
    """A phone that was registered, called and written to."""
    bob = phones(f"zx9-marker-{os.urandom(4).hex()}", on_call=sleep_on)
    bob.hand_over(provider.address())
    sipp.finish(sipp.start(tmp_path, "cancel", bob.user, provider.port))
    sipp.finish(sipp.start(tmp_path, "message", bob.user, provider.port))
    bob.pushed("message")
    return bob


def test_a_deleted_account_leaves_the_provider_and_no_trace_on_disk(
    bob: Phone, server: Server, provider: Kamailio
) -> None:
    (contact,) = contacts_at(provider, server)
    token = bytes.fromhex(contact.removeprefix("sip:").partition("@")[0])
    assert traces(server, {"contact": token}) != []  # what is no secret is found
    assert traces(server, secrets_of(bob)) == []

    receipt = bob.here("DELETE")
    assert receipt.status == 200
    assert receipt.body["reason"] == "disabled"
    wait_until(lambda: not contacts_at(provider, server), "the contact to be forgotten", 10)

    assert bob.here("GET").status == 404
    assert bob.here("DELETE").body == receipt.body
    server.stop()
    assert traces(server, secrets_of(bob)) == []


def test_neither_logs_nor_metrics_name_anybody(bob: Phone, server: Server) -> None:
    told = str(server.admin("/metrics").body["text"])
    assert server.program is not None
    told += server.program.output()

    names = {bob.user, "carol", "@", *(text.decode() for text in spoken(secrets_of(bob)))}
    assert {name for name in names if name in told} == set()


def contacts_at(provider: Kamailio, server: Server) -> list[str]:
    """The bindings at the provider that lead to this server."""
    return [it for it in provider.contacts() if f":{server.sip_port}" in it]


def spoken(secrets: dict[str, bytes]) -> list[bytes]:
    """Those that are text."""
    return [secret for secret in secrets.values() if secret.isascii()]


def secrets_of(phone: Phone) -> dict[str, bytes]:
    """Whatever would let somebody be the user, and every form of it."""
    login = phone.instance["relay"]
    assert isinstance(login, dict)
    user, password = phone.user, f"secret-{phone.user}"
    bearer, relay_password = str(phone.instance["secret"]), str(login["password"])
    secrets = {
        "password": password.encode(),
        "bearer": bearer.encode(),
        "bearer raw": bytes.fromhex(bearer),
        "relay password": relay_password.encode(),
        "relay password raw": bytes.fromhex(relay_password),
        "push token": phone.token.encode(),
    }
    for name in ("md5", "sha256", "sha512_256"):
        ha1 = hashlib.new(name, f"{user}:{DOMAIN}:{password}".encode())
        secrets |= {f"{name} hex": ha1.hexdigest().encode(), f"{name} raw": ha1.digest()}
    return secrets


def traces(server: Server, secrets: dict[str, bytes]) -> list[tuple[str, str]]:
    """Which of them lie in which file of the server."""
    return [
        (file.name, name)
        for file in server.files()
        for content in (file.read_bytes(),)
        for name, secret in secrets.items()
        if secret in content
    ]
