"""The log of a whole server: what apps are given, what auditors take away, what it never holds."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, encode_basic_auth

from sipis.app.server import Server
from sipis.audit import chronicle
from sipis.audit.verifier.export import verify_log
from sipis.audit.verifier.forms import Key, read_checkpoints, read_keys
from sipis.audit.verifier.receipt import commitment_of, verify_receipt
from sipis.audit.verifier.rules import Report
from sipis.vault.signer import verify_ed25519
from sipis.world.handset import Handset
from tests.scenarios.conftest import APP, Town
from tests.support.tlog import is_consistent


class Auditor:
    """Somebody with the admin token and nothing else."""

    def __init__(self, http: ClientSession, town: Town) -> None:
        self._http = http
        self._town = town

    @property
    def server(self) -> Server:
        assert self._town.server is not None
        return self._town.server

    @property
    def token(self) -> str:
        return (self._town.folder / "server" / "admin.token").read_text().strip()

    async def public(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.server.api_port}{path}"
        async with self._http.get(url) as said:
            assert said.status == 200, (path, said.status)
            return await said.text()

    async def admin(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.server.admin_port}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self._http.get(url, headers=headers) as said:
            assert said.status == 200, (path, said.status)
            return await said.text()

    async def browse(self, path: str, form: Mapping[str, str] | None = None) -> str:
        url = f"http://127.0.0.1:{self.server.admin_port}{path}"
        headers = {"Authorization": encode_basic_auth("auditor", self.token)}
        method = "GET" if form is None else "POST"
        async with self._http.request(method, url, data=form, headers=headers) as said:
            assert said.status == 200, (path, said.status)
            return await said.text()

    async def keys(self) -> list[Key]:
        return read_keys(await self.public("/v1/log/key"))

    async def lines(self) -> list[str]:
        return (await self.admin("/v1/admin/log")).splitlines()

    async def leaves(self, kind: str) -> list[dict[str, Any]]:
        return [it for it in map(json.loads, await self.lines()) if it["type"] == kind]

    async def report(self) -> Report:
        checkpoints = read_checkpoints(await self.admin("/v1/admin/checkpoints"))
        lines = [line.encode() for line in await self.lines()]
        return verify_log(lines, checkpoints, await self.keys(), check=verify_ed25519)


@pytest.fixture
async def auditor(town: Town) -> AsyncIterator[Auditor]:
    async with ClientSession() as http:
        yield Auditor(http, town)


def opening_of(phone: Handset) -> dict[str, str]:
    opening = phone.instance["receipt"]
    assert isinstance(opening, dict)
    return opening


async def forget(phone: Handset) -> dict[str, Any]:
    answer = await phone.here("DELETE")
    assert answer.status == 200
    return dict(answer.body)


async def test_l1_every_life_is_two_leaves_and_the_log_holds(town: Town, auditor: Auditor) -> None:
    phones = [await town.asleep(f"user{i}") for i in range(3)]
    await forget(phones[0])
    assert len(await auditor.leaves("create")) == 3
    assert len(await auditor.leaves("destroyed")) == 1
    report = await auditor.report()
    assert (report.live, report.findings) == (2, [])
    shown = json.loads(await auditor.admin("/v1/admin/audit"))
    assert shown["live"] == shown["owed"] == 2


async def test_l2_the_answer_to_delete_proves_the_deletion_of_this_instance(
    town: Town, auditor: Auditor
) -> None:
    phone = await town.asleep()
    opening, instance = opening_of(phone), str(phone.instance["instance"])
    receipt = await forget(phone)
    assert receipt["signature"] == "signed"
    proven = verify_receipt(receipt["proof"], await auditor.keys(), verify_ed25519)
    assert proven.leaf["c"] == commitment_of(instance, opening["salt"]) == opening["commitment"]
    again = json.loads(await auditor.public(f"/v1/receipts/{opening['commitment']}"))
    assert again["proof"] == receipt["proof"]


async def test_d16_a_repeated_delete_gets_the_same_leaf(town: Town) -> None:
    phone = await town.asleep()
    first, second = await forget(phone), await forget(phone)
    assert first["leaf"] == second["leaf"]
    assert first["destroyed_at"] == second["destroyed_at"]


async def test_l1_a_refresh_is_a_leaf_that_moves_the_deadline(town: Town, auditor: Auditor) -> None:
    phone = await town.asleep()
    answer = await phone.here("POST", "/refresh", {"ttl": 86_400})
    assert answer.status == 200
    (leaf,) = await auditor.leaves("refresh")
    told, logged = [
        datetime.fromisoformat(str(it)) for it in (answer.body["expires_at"], leaf["deadline"])
    ]
    assert timedelta(0) <= told - logged <= timedelta(minutes=1)
    await forget(phone)
    assert (await auditor.report()).findings == []


async def test_an_instance_that_was_ended_for_its_app_has_a_receipt_too(
    town: Town, auditor: Auditor
) -> None:
    first, second = await town.asleep(), await town.asleep("bob")
    assert town.server is not None
    await town.server._lifecycle.remove_app(APP)
    for phone in (first, second):
        commitment = opening_of(phone)["commitment"]
        found = json.loads(await auditor.public(f"/v1/receipts/{commitment}"))
        assert (found["reason"], found["signature"]) == ("app_removed", "signed")


async def test_l7_l8_the_log_holds_nobody(town: Town, auditor: Auditor) -> None:
    phone = await town.asleep("marker-user")
    await forget(phone)
    text = "\n".join(await auditor.lines())
    instance, secret = str(phone.instance["instance"]), str(phone.instance["secret"])
    known = ["marker-user", "127.0.0.1", "sip:", instance, secret, phone.push_token]
    assert [it for it in known if it in text] == []


async def test_l8_nothing_that_the_server_keeps_ties_a_leaf_to_an_instance(
    town: Town, auditor: Auditor
) -> None:
    """With its salt each leaf is found; the salt lies nowhere, and without it no id leads there."""
    phones = [await town.asleep(f"user{i}") for i in range(5)]
    ids = [str(phone.instance["instance"]) for phone in phones]
    salts = [opening_of(phone)["salt"] for phone in phones]
    for phone in phones[:3]:
        await forget(phone)
    leaves = [json.loads(line) for line in await auditor.lines()]
    told = {leaf["c"] for leaf in leaves if "c" in leaf}
    assert {commitment_of(*one) for one in zip(ids, salts, strict=True)} <= told
    kept = b"".join(it.read_bytes() for it in (town.folder / "server").rglob("*") if it.is_file())
    assert [it for it in salts if it.encode() in kept or bytes.fromhex(it) in kept] == []
    known = [b"", bytes(32), *(bytes.fromhex(it) for it in told)]
    guesses = {
        hashlib.sha256(prefix + salt + form).hexdigest()
        for one in ids
        for form in (one.encode(), bytes.fromhex(one))
        for salt in known
        for prefix in (b"", b"instance")
    }
    assert not told & guesses


@pytest.fixture
def quick_canary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It settles at once, and looks for traces in temporary files of its own."""
    monkeypatch.setattr("sipis.lifecycle.canary.SETTLED", 0.0)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.mark.usefixtures("quick_canary")
async def test_l1_a_roll_a_census_and_a_canary_are_one_leaf_each(
    town: Town, auditor: Auditor
) -> None:
    server = auditor.server
    await town.asleep()
    await server._notary.work()
    before = Counter(json.loads(line)["type"] for line in await auditor.lines())
    await server._roller._roll()
    await server._ground.store.write(chronicle.census, server._clock.wall())
    assert await server._canary.inspect() is not None
    after = Counter(json.loads(line)["type"] for line in await auditor.lines())
    lived = {"create": 1, "destroyed": 1, "canary_ok": 1}
    assert after - before == Counter({"epoch_rolled": 1, "census": 1, **lived})
    assert (await auditor.leaves("destroyed"))[-1]["reason"] == "canary"
    report = await auditor.report()
    assert (report.live, report.findings) == (1, [])
    assert (await auditor.leaves("census"))[-1]["count"] == 1


@pytest.mark.usefixtures("quick_canary")
async def test_l10_forced_residue_fails_the_canary_and_degrades_the_server(
    town: Town, auditor: Auditor
) -> None:
    server, forgotten = auditor.server, town.folder / "server" / "forgotten"
    original = server._canary.plant

    async def careless(marker: str, life: float = 600.0) -> object:
        forgotten.write_text(marker)
        return await original(marker, life)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._canary, "plant", careless)
        await server._canary.inspect()
    (leaf,) = await auditor.leaves("canary_fail")
    assert leaf["count"] == 1
    ready = json.loads(await auditor.admin("/readyz"))
    assert (ready["status"], "canary" in ready["troubles"]) == ("degraded", True)
    assert "canary: 1 traces" in await auditor.browse("/audit")
    assert "canary left 1 traces" in "".join((await auditor.report()).findings)
    forgotten.unlink()
    await server._canary.inspect()
    assert json.loads(await auditor.admin("/readyz"))["status"] == "ready"
    assert "last canary" in await auditor.browse("/audit")


async def test_l11_without_its_key_the_server_deletes_and_signs_later(
    empty_town: Town,
) -> None:
    town = empty_town
    await town.serve()
    async with ClientSession() as http:
        auditor = Auditor(http, town)
        phone = await town.asleep()
        await forget(phone)
        key = town.folder / "server" / "log.key"
        await town.stop()
        kept = key.read_bytes()
        key.unlink()
        server = await town.serve()
        other = await town.asleep("bob")
        receipt = await forget(other)
        assert (receipt["signature"], "proof" in receipt) == ("pending", False)
        assert server.health.ready
        assert server.health.report()["status"] == "degraded"
        assert not key.exists()
        key.write_bytes(kept)
        found = await auditor.public(f"/v1/receipts/{opening_of(other)['commitment']}")
        assert json.loads(found)["signature"] == "signed"
        assert (await auditor.report()).findings == []


async def test_l5_the_log_goes_on_after_a_restart(town: Town, auditor: Auditor) -> None:
    await forget(await town.asleep())
    before = await auditor.public("/v1/log/checkpoint")
    await town.stop()
    await town.serve()
    await forget(await town.asleep("bob"))
    after = await auditor.public("/v1/log/checkpoint")
    old, new = read_checkpoints(f"{before}\n{after}\n")
    said = json.loads(await auditor.public(f"/v1/log/consistency/{old.size}/{new.size}"))
    path = [bytes.fromhex(it) for it in said["hashes"]]
    assert is_consistent((old.size, old.root), (new.size, new.root), path)
    assert (await auditor.report()).findings == []


async def test_ten_deletions_at_once_are_all_signed(town: Town, auditor: Auditor) -> None:
    phones = [await town.asleep(f"user{i}") for i in range(10)]
    receipts = await asyncio.gather(*(forget(phone) for phone in phones))
    keys = await auditor.keys()
    proven = [verify_receipt(it["proof"], keys, verify_ed25519) for it in receipts]
    assert len({it.leaf["seq"] for it in proven}) == 10
    assert {it["signature"] for it in receipts} == {"signed"}


async def test_the_page_checks_a_pasted_receipt(town: Town, auditor: Auditor) -> None:
    receipt = await forget(await town.asleep())
    good = await auditor.browse("/audit", {"receipt": receipt["proof"].replace("\n", "\r\n")})
    assert "The receipt holds." in good
    forged = receipt["proof"].replace("index ", "index 1")
    bad = await auditor.browse("/audit", {"receipt": forged})
    assert "proves nothing" in bad
    hostile = await auditor.browse("/audit", {"receipt": "</textarea><script>alert(1)</script>"})
    assert "<script" not in hostile


async def test_the_page_wants_the_token_and_loads_nothing(town: Town, auditor: Auditor) -> None:
    async with ClientSession() as http:
        url = f"http://127.0.0.1:{auditor.server.admin_port}/audit"
        async with http.get(url) as said:
            assert (said.status, said.headers["WWW-Authenticate"][:5]) == (401, "Basic")
        headers = {"Authorization": encode_basic_auth("auditor", auditor.token)}
        async with http.get(url, headers=headers) as said:
            policy = said.headers["Content-Security-Policy"]
            text = await said.text()
    assert policy.startswith("default-src 'none'")
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text


async def test_the_files_of_the_page_are_what_the_verifier_takes(
    town: Town, auditor: Auditor, tmp_path: Path
) -> None:
    await forget(await town.asleep())
    assert (await auditor.browse("/audit/log.jsonl")).splitlines() == await auditor.lines()
    assert read_keys(await auditor.browse("/audit/keys")) == await auditor.keys()
    assert read_checkpoints(await auditor.browse("/audit/checkpoints"))
