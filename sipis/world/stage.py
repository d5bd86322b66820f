"""The whole world at once: provider, FCM and APNs on loopback, and the settings that point at them.

Refuses to start a server: whoever wants one merges `settings()` into its configuration.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

from sipis.clock import Clock, SystemClock
from sipis.sip.flow import Transport
from sipis.world.apns import Apns, ApnsMischief
from sipis.world.chaos import Chaos
from sipis.world.fcm import Fcm, FcmMischief
from sipis.world.handset import Handset
from sipis.world.provider import Provider
from sipis.world.registrar import ProviderMischief
from sipis.world.tls import ThrowawayCa

TOPIC = "com.example.phone"
Kind = TypeVar("Kind", bound=StrEnum)
RATE = 0.05
"""How often each mischief happens when there is a seed."""


class Stage:
    """Everything that surrounds the server; use it as an async context manager."""

    def __init__(
        self, folder: Path, *, clock: Clock | None = None, seed: int | None = None
    ) -> None:
        """Keys and certificates are written into `folder`; with a seed everybody misbehaves."""
        clock = clock or SystemClock()
        self.folder = folder
        self.ca = ThrowawayCa()
        self.provider = Provider(clock=clock, chaos=_dice(ProviderMischief, seed))
        self.fcm = Fcm(self.ca, clock=clock, chaos=_dice(FcmMischief, seed))
        self.apns = Apns(self.ca, clock=clock, chaos=_dice(ApnsMischief, seed))
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for part in (self.provider, self.fcm, self.apns):
                await opening.enter_async_context(part)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def settings(self) -> dict[str, object]:
        """The tables `fcm` and `apns` of an app's settings."""
        ca_file = str(self.ca.write_root(self.folder))
        apple = self.apns.new_key()
        return {
            "fcm": {
                "service_account_file": str(self.fcm.new_key().write(self.folder)),
                "base_url": self.fcm.base_url,
                "ca_file": ca_file,
            },
            "apns": {
                "team_id": apple.team_id,
                "key_id": apple.key_id,
                "key_file": str(apple.write(self.folder)),
                "topic": TOPIC,
                "server": "localhost",
                "port": self.apns.port,
                "ca_file": ca_file,
            },
        }

    async def deliver(self, handset: Handset) -> None:
        """Hand every FCM message for the handset's token to it, one after the other, for ever."""
        while True:
            message = await self.fcm.pushes.next()
            if message.target == handset.push_token:
                await handset.push(sipis_of(message.data))


def sipis_of(data: Mapping[str, str]) -> dict[str, object]:
    """The `sipis` object out of the data of an FCM message, whose values are text."""
    payload: dict[str, object] = json.loads(data["sipis"])
    return payload


async def open_stage(show: Callable[[str], None], seed: int | None) -> None:
    """Run the world until it is interrupted, and say how to use it."""
    with tempfile.TemporaryDirectory(prefix="sipis-world-") as folder:
        async with Stage(Path(folder), seed=seed) as stage:
            for line in _described(stage, seed):
                show(line)
            await asyncio.Event().wait()


def _described(stage: Stage, seed: int | None) -> list[str]:
    aor = stage.provider.add("alice", "alice")
    lines = [
        f"SIP provider   {stage.provider.address(Transport.UDP)}  (and tcp)",
        f"account        {aor}, password alice",
        "settings for an app:",
    ]
    for service, table in stage.settings().items():
        assert isinstance(table, Mapping)
        lines.append(f'  [apps."{TOPIC}".{service}]')
        lines += [f"  {key} = {json.dumps(value)}" for key, value in table.items()]
    lines += ["  [network]", '  allow = ["127.0.0.0/8"]']
    lines.append(f"seed of misbehaviour: {seed}" if seed is not None else "everybody behaves")
    return [*lines, "Ctrl-C ends the world."]


def _dice(kinds: type[Kind], seed: int | None) -> Chaos[Kind] | None:
    return None if seed is None else Chaos(seed, dict.fromkeys(kinds, RATE))
