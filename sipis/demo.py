"""The story of a sleeping phone, told on one screen by real parts on loopback.

Refuses to pretend: every line is printed when its packet has arrived, with the time that took.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from sipis.app.first_start import secret_file, with_admin_token
from sipis.app.server import Server
from sipis.config import Settings, parse
from sipis.observe.log import set_up
from sipis.world.handset import Handset
from sipis.world.provider import Provider
from sipis.world.stage import Stage, sipis_of

PATIENCE = 30.0
APP = "demo"


class Teller:
    """Prints one line for each step: the time since the start, who, and what happened."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def say(self, who: str, what: str) -> None:
        """One step of the story."""
        seconds = time.monotonic() - self._began
        self._console.print(f"[dim]{seconds:7.3f} s[/dim]  [bold]{who:<9}[/bold] {what}")


class StoryBroken(Exception):
    """Somebody answered otherwise than the story goes."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what} was answered with {status}")


async def tell(console: Console) -> int:
    """Tell it; returns the exit code: 0 when everything came true."""
    teller = Teller(console)
    with tempfile.TemporaryDirectory(prefix="sipis-demo-") as name:
        folder = Path(name)
        try:
            async with asyncio.timeout(PATIENCE), _everybody(folder) as (stage, handset):
                await _sleep(teller, stage, handset)
                await _ring(teller, stage, handset)
                await _forget(teller, stage, handset)
        except TimeoutError:
            teller.say("demo", "[red]waited in vain; the story is broken[/red]")
            return 1
        except StoryBroken as broken:
            teller.say("demo", f"[red]{broken}; the story is broken[/red]")
            return 1
        return _search(teller, folder)


PASSWORD = "correct horse battery staple " + os.urandom(8).hex()


@asynccontextmanager
async def _everybody(folder: Path) -> AsyncIterator[tuple[Stage, Handset]]:
    with (folder / "sipis.log").open("w") as output:
        async with Stage(folder) as stage:
            settings = _settings(folder, stage)
            set_up(settings.log, output)
            async with Server(settings) as server:
                api = f"http://127.0.0.1:{server.api_port}"
                key = (folder / "app.key").read_text().strip()
                async with Handset(api, key, app_id=APP) as handset:
                    yield stage, handset


def _settings(folder: Path, stage: Stage) -> Settings:
    key = secret_file(folder / "app.key", os.urandom)
    settings = parse({
        "api": {"port": 0},
        "admin": {"port": 0},
        "sip": {
            "provider_listeners": ["udp:127.0.0.1:0"],
            "app_listeners": ["tcp:127.0.0.1:0"],
        },
        "store": {"directory": str(folder / "server")},
        "keys": {"allow_copy_on_write": True},  # they live as long as the story
        "network": {"allow": ["127.0.0.0/8"]},
        "apps": {APP: {"key_files": [str(key)], **stage.settings()}},
    })  # fmt: skip
    return with_admin_token(settings, os.urandom)


async def _sleep(teller: Teller, stage: Stage, handset: Handset) -> None:
    """Enable push, prove the token, be registered; then the app closes."""
    provider: Provider = stage.provider
    aor = provider.add("alice", PASSWORD)
    account = {"aor": aor, "password": PASSWORD, "registrar": provider.address()}
    created = await handset.enable(account)
    _expect("POST /v1/instances", created.status, 201)
    teller.say("handset", f"enabled: POST /v1/instances answered {created.status}")
    await provider.registrar.accepted.next()
    teller.say("provider", "registered: the server holds alice's binding")
    verify = await stage.fcm.pushes.next()
    await handset.push(sipis_of(verify.data))
    teller.say("handset", "the verify push came; possession of the token is proven")
    teller.say("handset", "the app is closed, the phone sleeps")


async def _ring(teller: Teller, stage: Stage, handset: Handset) -> None:
    """Carol calls, the phone wakes, they talk, Carol hangs up."""
    caller = stage.provider.call("alice")
    teller.say("provider", "INVITE: Carol calls alice")
    push = await stage.fcm.pushes.next()
    teller.say("FCM", "push accepted")
    await caller.until(180)
    teller.say("provider", "180: Carol hears ringing")
    await handset.push(sipis_of(push.data))
    callee = await handset.callees.next()
    teller.say("handset", "woken: registered at the relay, got the INVITE, answered")
    _expect("INVITE", (await caller.final).status)
    await callee.acknowledged.wait()
    teller.say("provider", "answered: 200 with the phone's session description, ACK passed on")
    _expect("BYE", (await caller.bye()).status)
    await callee.ended.wait()
    teller.say("provider", "BYE: Carol hung up, the phone was told")
    handset.sleep()


async def _forget(teller: Teller, stage: Stage, handset: Handset) -> None:
    """Disable push; the credential dies before the answer leaves."""
    answer = await handset.disable()
    _expect("DELETE", answer.status)
    reason = answer.body["reason"]
    teller.say("handset", f"disabled: DELETE answered {answer.status}, receipt: {reason}")
    while stage.provider.registrar.bindings("alice"):
        await stage.provider.registrar.accepted.next()
    teller.say("provider", "un-registered: no binding of alice is left")


def _expect(what: str, status: int, wanted: int = 200) -> None:
    if status != wanted:
        raise StoryBroken(what, status)


def _search(teller: Teller, folder: Path) -> int:
    """Look for the password in every file that anybody wrote."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = sum(PASSWORD.encode() in path.read_bytes() for path in files)
    teller.say("auditor", f"password found in {found} of {len(files)} files")
    return 1 if found else 0
