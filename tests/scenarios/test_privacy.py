"""Markers planted in every field: what leaks where, while an instance lives and after its end."""

import asyncio
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from sipis.errors import VaultError
from sipis.sip.digest import Algorithm, ha1
from sipis.store import lookup
from sipis.world.handset import Handset, Temper
from tests.scenarios.conftest import APP, Town
from tests.support.life import row_of
from tests.support.logs import kept_log

pytestmark = pytest.mark.timeout(30)


def marker(name: str) -> str:
    """A text that occurs nowhere by chance, and in the middle of nothing."""
    return f"{name}{os.urandom(9).hex()}"


@dataclass(frozen=True)
class Markers:
    """One for each field that an app, a caller or a provider fills."""

    password: str
    user: str
    display_name: str
    token: str
    user_agent: str
    caller: str
    caller_name: str
    text: str

    @classmethod
    def planted(cls) -> "Markers":
        return cls(*(marker(name.replace("_", "")) for name in cls.__dataclass_fields__))

    def all(self) -> dict[str, str]:
        return {name: str(getattr(self, name)) for name in self.__dataclass_fields__}


@pytest.fixture
def markers() -> Markers:
    return Markers.planted()


@pytest.fixture
def log() -> io.StringIO:
    return kept_log("debug")


def found(markers: Mapping[str, str], *texts: bytes) -> set[str]:
    """The names of the markers that occur, as they are or in hex."""
    return {
        name
        for name, text in markers.items()
        for form in (text.encode(), text.encode().hex().encode())
        if any(form in one for one in texts)
    }


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file that the server wrote."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def lived(town: Town, markers: Markers) -> Handset:
    """A phone that was enabled, called, written to, and whose app did some things wrong."""
    phone = await town.phone(Temper.IGNORE, token=markers.token)
    aor = town.provider.add(markers.user, markers.password)
    account = {"aor": aor, "password": markers.password, "registrar": town.provider.address(),
               "display_name": markers.display_name, "user_agent": markers.user_agent}  # fmt: skip
    assert (await phone.enable(account)).status == 201
    await town.pushed(phone, "verify")
    await town.state(phone, "registered")
    caller = town.provider.call(markers.user, caller=markers.caller, name=markers.caller_name)
    await town.pushed(phone, "call")
    caller.cancel()
    await caller.final
    await town.pushed(phone, "call-ended")
    sent = await town.provider.message(markers.user, markers.text, caller=markers.caller)
    assert sent.status == 202
    await town.pushed(phone, "message")
    return phone


async def test_no_marker_is_in_a_log_line_or_a_metric(
    empty_town: Town, markers: Markers, log: io.StringIO
) -> None:
    await empty_town.serve()
    phone = await lived(empty_town, markers)
    server = empty_town.server
    assert server is not None
    metrics = server._ground.metrics.exposition()
    await phone.disable()
    await empty_town.stop()
    lines = log.getvalue().splitlines()
    assert len(lines) > 5
    assert all(json.loads(line)["event"] for line in lines)
    secrets = {**markers.all(), "domain": empty_town.provider.domain, "address": "127.0.0.1",
               "secret": str(phone.instance["secret"])}  # fmt: skip
    assert found(secrets, log.getvalue().encode(), metrics) == set()


async def test_no_push_carries_who_or_what(town: Town, markers: Markers) -> None:
    await lived(town, markers)
    pushed = [json.dumps(it.message["data"]).encode() for it in town.stage.fcm.pushes.items]
    assert len(pushed) >= 4
    assert found(markers.all(), *pushed) == set()


async def test_no_problem_document_repeats_what_was_sent(town: Town, markers: Markers) -> None:
    key = (town.folder / "app.key").read_text().strip()
    target = {"provider": "fcm", "kind": "token", "token": markers.token}
    good: dict[str, object] = {"aor": f"sip:{markers.user}@x.example", "password": markers.password}
    wrong: list[dict[str, object]] = [
        good | {"registrar": f"sip:{markers.caller}@10.0.0.1"},
        good | {"aor": f"mailto:{markers.user}@x.example"},
        good | {"password": markers.password + "\n"},
        good | {markers.text: 1},
        good | {"display_name": markers.display_name + "\0"},
        good | {"ha1": [{"realm": markers.text, "ha1": markers.password}]},
    ]
    assert town.server is not None
    async with aiohttp.ClientSession() as http:
        for account in wrong:
            async with http.post(
                f"http://127.0.0.1:{town.server.api_port}/v1/instances",
                json={"app_id": APP, "account": account, "targets": [target]},
                headers={"Authorization": f"Bearer {key}"},
            ) as answer:
                assert answer.status == 422
                said = await answer.read()
                # The name of an unknown key is the caller's own; a value is never repeated.
                names = {"text"} if markers.text in account else set()
                assert found(markers.all(), said) <= names


async def test_while_it_lives_everything_lies_sealed(town: Town, markers: Markers) -> None:
    await lived(town, markers)
    for name, content in files_of(town.folder / "server").items():
        assert found(markers.all(), content) == set(), name


async def test_after_its_end_no_file_knows_it(town: Town, markers: Markers) -> None:
    phone = await lived(town, markers)
    before = files_of(town.folder / "server")
    contact = bytes.fromhex(contact_of(town, markers))
    assert any(contact in content for content in before.values())
    await phone.disable()
    realm = town.provider.domain
    digests = {
        algorithm.value: ha1(algorithm, markers.user, realm, markers.password)
        for algorithm in (Algorithm.MD5, Algorithm.SHA256, Algorithm.SHA512_256)
    }
    for name, content in files_of(town.folder / "server").items():
        assert found({**markers.all(), **digests}, content) == set(), name
        assert contact not in content, name


def contact_of(town: Town, markers: Markers) -> str:
    """The user part of the Contact that the provider holds."""
    [binding] = town.provider.registrar.bindings(markers.user)
    return str(binding.contact.uri).removeprefix("sip:").partition("@")[0]


async def test_k10_after_the_first_success_the_password_is_nowhere_not_even_sealed(
    town: Town, markers: Markers
) -> None:
    phone = await lived(town, markers)
    server = town.server
    assert server is not None
    row = await row_of(town, phone)
    while True:  # the timeout of the module ends it when the password is never retired
        sealed = await server._ground.store.read(lookup.sealed, row.n, server._clock.wall())
        assert sealed is not None
        with suppress(VaultError):  # it is sealed anew at this very moment
            if not server._ground.vault.open_account(sealed).password_based:
                return
        await asyncio.sleep(0)
