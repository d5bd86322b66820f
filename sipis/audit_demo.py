"""A deletion and its proof, told on one screen: a real server, its files, openssl and a forger.

Refuses to pretend: a step that does not come true ends the story with exit code 1.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from rich.console import Console

from sipis.app.first_start import secret_file, with_admin_token
from sipis.app.server import Server
from sipis.audit.export import verifier
from sipis.audit.verifier.forms import read_checkpoint, read_keys
from sipis.audit.verifier.signatures import SPKI_ED25519
from sipis.config import Settings, parse
from sipis.observe.log import set_up

APP = "demo"
PATIENCE = 30.0
GLANCE = 0.05
ROLL_AFTER = 1.0
"""Seconds from a deletion to the roll of the epoch key; a minute where nobody watches."""

MARKER = "marker-" + os.urandom(12).hex()


class BrokenStory(Exception):
    """A step did not come true."""


class Teller:
    """Prints a line for each step, with the time since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def say(self, what: str) -> None:
        """A step that came true."""
        seconds = time.monotonic() - self._began
        self._console.print(f"[dim]{seconds:6.2f} s[/dim]  {what}")

    def show(self, text: str) -> None:
        """What a program said."""
        for line in text.rstrip().splitlines():
            self._console.print(f"[dim]          | {line}[/dim]", markup=True)


class Auditor:
    """A stranger with two folders: what the server gave away, and what the thief took."""

    def __init__(self, folder: Path, teller: Teller) -> None:
        self._folder = folder
        self._teller = teller

    def take(self, name: str, content: bytes) -> Path:
        """Keep a file."""
        path = self._folder / name
        path.write_bytes(content)
        return path

    def verify(self, *arguments: str) -> bool:
        """Run the verifier in a Python that knows nothing of this package."""
        command = [sys.executable, "-I", "verify.pyz", *arguments]
        done = subprocess.run(  # noqa: S603 - the program was written a moment ago
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )
        self._teller.show(done.stdout + done.stderr)
        return done.returncode == 0

    def openssl(self, checkpoint: str) -> bool:
        """Check the signature of a checkpoint with the openssl program and nothing else."""
        read = read_checkpoint(checkpoint)
        key = read_keys((self._folder / "keys").read_text())[0]
        self.take("text", read.text)
        self.take("signature", read.signatures[0][1][4:])
        self.take("key.der", SPKI_ED25519 + key.public)
        command = (
            "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin"
            " -in text -sigfile signature"
        )
        done = subprocess.run(  # noqa: S603 - as above
            command.split(), cwd=self._folder, capture_output=True, text=True, check=False
        )
        self._teller.show(f"$ {command}\n{done.stdout}")
        return done.returncode == 0


async def tell_of_deletion(console: Console) -> int:
    """Tell it; returns the exit code: 0 when everything came true."""
    teller = Teller(console)
    with tempfile.TemporaryDirectory(prefix="sipis-audit-") as name:
        folder = Path(name)
        try:
            async with asyncio.timeout(PATIENCE):
                await _story(teller, folder)
        except (BrokenStory, TimeoutError) as broken:
            console.print(f"[red]the story is broken: {broken or 'waited in vain'}[/red]")
            return 1
    console.print("\n[green]everything held, and the forger was caught[/green]")
    return 0


async def _story(teller: Teller, folder: Path) -> None:
    taken = folder / "auditor"
    taken.mkdir()
    auditor = Auditor(taken, teller)
    settings = _settings(folder)
    with (folder / "server.log").open("w") as output:
        set_up(settings.log, output)
        async with Server(settings) as server, ClientSession() as http:
            visitor = _Visitor(http, server, folder)
            opening, receipt = await _plant_and_delete(teller, visitor, folder)
            await _wait_for_roll(teller, visitor, receipt)
            await _take_away(visitor, auditor, receipt)
    _prove(teller, auditor, opening, receipt)
    _forge(teller, auditor, receipt)


class _Visitor:
    """Talks to both listeners of the server."""

    def __init__(self, http: ClientSession, server: Server, folder: Path) -> None:
        self._http = http
        self._api = f"http://127.0.0.1:{server.api_port}"
        self._admin = f"http://127.0.0.1:{server.admin_port}"
        self._folder = folder

    async def app(self, method: str, path: str, bearer: str = "", body: Any = None) -> Any:
        key = bearer or (self._folder / "app.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with self._http.request(method, self._api + path, json=body, headers=headers) as said:
            return await said.json()

    async def admin(self, path: str) -> bytes:
        token = (self._folder / "data" / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.get(self._admin + path, headers=headers) as said:
            return await said.read()


async def _plant_and_delete(
    teller: Teller, visitor: _Visitor, folder: Path
) -> tuple[str, Mapping[str, str]]:
    account = {"aor": "sip:canary@127.0.0.1:59999", "password": MARKER}
    target = {"provider": "fcm", "kind": "token", "token": f"token-{MARKER}"}
    body = {"app_id": APP, "account": account, "targets": [target]}
    made = await visitor.app("POST", "/v1/instances", body=body)
    if "receipt" not in made:
        raise BrokenStory(f"the app was refused: {made.get('title')} {made.get('field', '')}")
    opening = made["receipt"]
    teller.say(f"an app hands over an account; its password is the marker {MARKER[:15]}…")
    teller.say(f"it is given the opening of its receipt: {opening['commitment'][:16]}…")
    began = time.monotonic()
    receipt = await visitor.app("DELETE", f"/v1/instances/{made['instance']}", made["secret"])
    took = (time.monotonic() - began) * 1000
    if receipt["signature"] != "signed":
        raise BrokenStory("the receipt is not signed")
    size = len(receipt["proof"])
    teller.say(f"DELETE answers in {took:.1f} ms with a signed receipt of {size} bytes")
    found = [it.name for it in (folder / "data").rglob("*") if _holds_marker(it)]
    if found:
        raise BrokenStory(f"the marker is in {', '.join(found)}")
    teller.say("the marker is in no file of the server")
    return f"{made['instance']}:{opening['salt']}", receipt


async def _wait_for_roll(teller: Teller, visitor: _Visitor, receipt: Mapping[str, str]) -> None:
    pause, deletion = asyncio.Event(), json.loads(receipt["leaf"])["seq"]
    while b'"type":"epoch_rolled"' not in await visitor.admin(f"/v1/admin/log?first={deletion}"):
        with suppress(TimeoutError):
            await asyncio.wait_for(pause.wait(), GLANCE)
    teller.say("the epoch key was rolled: copies of the files before it open nothing any more")


async def _take_away(visitor: _Visitor, auditor: Auditor, receipt: Mapping[str, str]) -> None:
    auditor.take("verify.pyz", verifier())
    auditor.take("log.jsonl", await visitor.admin("/v1/admin/log"))
    auditor.take("checkpoints", await visitor.admin("/v1/admin/checkpoints"))
    auditor.take("keys", await visitor.admin("/v1/admin/keys"))
    auditor.take("receipt.tlog-proof", receipt["proof"].encode())


def _prove(teller: Teller, auditor: Auditor, opening: str, receipt: Mapping[str, str]) -> None:
    teller.say("the server is stopped; an auditor checks the receipt offline")
    keys = ("--key", "keys")
    if not auditor.verify(*keys, "--opening", opening, "receipt.tlog-proof"):
        raise BrokenStory("the receipt was refused")
    teller.say("the signature, with openssl alone")
    checkpoint = receipt["proof"].partition("\n\n")[2]
    if not auditor.openssl(checkpoint):
        raise BrokenStory("openssl refused the signature")
    teller.say("the whole log: signatures, tree, deadlines, census, epochs")
    if not auditor.verify("."):
        raise BrokenStory("the export was refused")


def _forge(teller: Teller, auditor: Auditor, receipt: Mapping[str, str]) -> None:
    header, extra, rest = receipt["proof"].split("\n", 2)
    leaf = b64decode(extra.removeprefix("extra "))
    forged = leaf.replace(b'"lateness":0', b'"lateness":1')
    text = f"{header}\nextra {b64encode(forged).decode()}\n{rest}"
    auditor.take("forged", text.encode())
    teller.say("a forger changes one byte of the leaf: lateness 0 becomes 1")
    if auditor.verify("--key", "keys", "forged"):
        raise BrokenStory("the forged receipt was accepted")


def _settings(folder: Path) -> Settings:
    key = secret_file(folder / "app.key", os.urandom)
    settings = parse({
        "api": {"port": 0},
        "admin": {"port": 0},
        "sip": {"provider_listeners": ["udp:127.0.0.1:0"], "app_listeners": ["tcp:127.0.0.1:0"]},
        "store": {"directory": str(folder / "data")},
        "network": {"allow": ["127.0.0.0/8"]},
        "keys": {"roll_after_delete": ROLL_AFTER, "allow_copy_on_write": True},
        "apps": {APP: {"key_files": [str(key)], "trial": True, "require_verification": False}},
    })  # fmt: skip
    return with_admin_token(settings, os.urandom)


def _holds_marker(path: Path) -> bool:
    return path.is_file() and MARKER.encode() in path.read_bytes()
