"""A whole server in the test's own loop, with the world around it."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sipis.app.first_start import secret_file, with_admin_token
from sipis.app.server import Server
from sipis.config import Settings, parse
from sipis.transport.tls import TlsPolicy
from sipis.world.apns import ReceivedPush
from sipis.world.call import Callee, Caller
from sipis.world.handset import Handset, Temper
from sipis.world.stage import Stage, sipis_of
from tests.support.server import merged

APP = "demo"
KINDS = ("voip", "alert")
POLICY = {"react_timeout": 1.5, "answer_timeout": 3.0, "drain_timeout": 2.0}


class Town:
    """The world, one server in it, and phones that can be given to people."""

    def __init__(self, folder: Path, stage: Stage, open_: AsyncExitStack) -> None:
        self.folder = folder
        self.stage = stage
        self.provider = stage.provider
        self.server: Server | None = None
        self._open = open_
        self._server_open = AsyncExitStack()
        self._sections: Mapping[str, object] = {}

    async def serve(self, **sections: Mapping[str, object]) -> Server:
        """Start the server (again); `sections` are merged over the settings that it had."""
        self._sections = merged(self._sections, sections)
        self.server = await self._server_open.enter_async_context(Server(self.settings()))
        return self.server

    async def stop(self) -> None:
        """Stop the server; its files stay."""
        await self._server_open.aclose()
        self._server_open = AsyncExitStack()

    def settings(self) -> Settings:
        key = secret_file(self.folder / "app.key", os.urandom)
        plain: dict[str, object] = {
            "api": {"port": 0, "requests_per_minute": 1_000_000},
            "admin": {"port": 0},
            "sip": {
                "provider_listeners": ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"],
                "app_listeners": ["tcp:127.0.0.1:0"],
            },
            "policy": POLICY,
            "store": {"directory": str(self.folder / "server")},
            "keys": {"allow_copy_on_write": True},
            "network": {"allow": ["127.0.0.0/8"]},
            "apps": {APP: {"key_files": [str(key)], **self.stage.settings()}},
        }
        return with_admin_token(parse(merged(plain, self._sections)), os.urandom)

    def certified(self, *listeners: str) -> dict[str, object]:
        """The section `sip` with these listeners for apps, and a certificate of the world."""
        files = [self.folder / "server.pem", self.folder / "server.key"]
        for file, pem in zip(files, self.stage.ca.issue("localhost", "127.0.0.1"), strict=True):
            file.write_bytes(pem)
        cert, key = map(str, files)
        return {"app_listeners": list(listeners), "cert_file": cert, "key_file": key}

    async def phone(self, temper: Temper = Temper.ANSWER, token: str = "") -> Handset:
        """A new phone with the app on it; its push token is random text unless given."""
        assert self.server is not None
        api = f"http://127.0.0.1:{self.server.api_port}"
        key = (self.folder / "app.key").read_text().strip()
        trust = TlsPolicy(self.stage.ca.write_root(self.folder))
        phone = Handset(api, key, app_id=APP, temper=temper, token=token, trust=trust)
        return await self._open.enter_async_context(phone)

    async def asleep(
        self, user: str = "alice", temper: Temper = Temper.ANSWER, **more: Any
    ) -> Handset:
        """A phone whose account was handed over, is registered and proven; the app is closed."""
        phone = await self.phone(temper)
        aor = self.provider.add(user, f"password of {user}")
        account = {"aor": aor, "password": f"password of {user}",
                   "registrar": self.provider.address(), **more.pop("account", {})}  # fmt: skip
        answer = await phone.enable(account, **more)
        assert answer.status == 201, answer
        before = len(self.provider.registrar.bindings(user))
        while len(self.provider.registrar.bindings(user)) <= before - 1 or not before:
            await self.provider.registrar.accepted.next()
            before = max(before, len(self.provider.registrar.bindings(user)))
        await self.pushed(phone, "verify")
        return phone

    async def asleep_on_iphone(
        self, user: str = "alice", temper: Temper = Temper.ANSWER, kinds: Sequence[str] = KINDS
    ) -> Handset:
        """The same, woken by Apple; the token of a kind is `ap_token`'s."""
        phone = await self.phone(temper, token=os.urandom(16).hex())
        targets = [{"provider": "apns", "kind": kind, "token": ap_token(phone, kind),
                    "environment": "production"} for kind in kinds]  # fmt: skip
        account = {"aor": self.provider.add(user, "secret"), "password": "secret",
                   "registrar": self.provider.address()}  # fmt: skip
        answer = await phone.enable(account, targets=targets)
        assert answer.status == 201, answer
        await self.provider.registrar.accepted.next()
        return phone

    async def pushed_by_apple(self, phone: Handset, kind: str) -> ReceivedPush:
        """Wait for the next push to this token of the phone and let the phone react to it."""
        while True:
            push = await self.stage.apns.pushes.next()
            if push.token == ap_token(phone, kind):
                payload = push.payload["sipis"]
                assert isinstance(payload, Mapping)
                await phone.push(payload)
                return push

    async def pushed(self, phone: Handset, event: str) -> Mapping[str, object]:
        """Wait for the next push of this event to this phone and let the phone react to it."""
        while True:
            message = await self.stage.fcm.pushes.next()
            payload = sipis_of(message.data)
            if message.target == phone.push_token and payload["event"] == event:
                await phone.push(payload)
                return payload

    async def bound(self, number: int, user: str = "alice") -> None:
        """Wait until the provider has so many bindings of a user."""
        while len(self.provider.registrar.bindings(user)) != number:
            await self.provider.registrar.accepted.next()

    async def state(self, phone: Handset, wanted: str) -> Mapping[str, object]:
        """Wait until the API shows this state."""
        while True:
            body = (await phone.here("GET")).body
            if body.get("state") == wanted:
                return body
            await asyncio.sleep(0)

    async def talk(self, phone: Handset, user: str = "alice") -> tuple[Caller, Callee]:
        """Call a sleeping phone until both sides talk."""
        caller = self.provider.call(user)
        await self.pushed(phone, "call")
        callee = await phone.callees.next()
        assert (await caller.final).status == 200
        await callee.acknowledged.wait()
        return caller, callee


@asynccontextmanager
async def a_town(folder: Path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as open_:
        stage = await open_.enter_async_context(Stage(folder))
        town = Town(folder, stage, open_)
        open_.push_async_callback(town.stop)
        yield town


@pytest.fixture
async def empty_town(tmp_path: Path) -> AsyncIterator[Town]:
    """The world without a server yet."""
    async with a_town(tmp_path) as town:
        yield town


@pytest.fixture
async def town(empty_town: Town) -> Town:
    """The world with a server."""
    await empty_town.serve()
    return empty_town


def ap_token(phone: Handset, kind: str) -> str:
    """The APNs token of a phone: hex, another one for each kind."""
    return phone.push_token + kind.encode().hex()
