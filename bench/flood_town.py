"""Those whose calls must come through while others flood: a provider, FCM, and sleeping phones.

Each call is whole: the provider sends INVITE, a push wakes the phone, it asks what became of the
call, registers at the relay on a connection of its own, answers, is hung up on and sleeps again.
Everybody is at 127.0.0.1. Refuses to spare a phone: what is not answered in time counts as lost.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

import aiohttp

from sipis.clock import SystemClock
from sipis.errors import TransportError
from sipis.world.fcm import Fcm, ReceivedMessage
from sipis.world.handset import Handset
from sipis.world.inbox import Inbox
from sipis.world.provider import Provider
from sipis.world.stage import sipis_of
from sipis.world.tls import ThrowawayCa

ANSWERED_WITHIN: Final = 30.0
"""Seconds from INVITE to the end of a call; SIP itself gives up after 32."""
GRANT: Final = 120
"""Seconds that the provider grants, so that registrations are refreshed during a flood."""


class Post(Inbox[ReceivedMessage]):
    """Hands every push to the phone that owns the token, and keeps none."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, Sleeper] = {}

    def put(self, item: ReceivedMessage) -> None:
        """Wake the owner."""
        owner = self.owners.get(item.target)
        if owner is not None:
            owner.run(owner.wake(sipis_of(item.data)))


class Sleeper(Handset):
    """A phone of the town; between two calls it has no connection open."""

    def __init__(self, user: str, api: str, app_key: str, app_id: str) -> None:
        super().__init__(api, app_key, app_id=app_id, token=f"token-of-{user}")
        self.user = user
        self.proven = asyncio.Event()
        self.troubles: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        assert self._http is not None
        await self._http.close()
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        return self

    async def wake(self, payload: Mapping[str, object]) -> None:
        """React to a push; a failure shows as a call that nobody answers."""
        try:
            await self.push(payload)
        except (aiohttp.ClientError, TransportError, OSError) as failed:
            self.troubles[type(failed).__name__] += 1
        if payload["event"] == "verify":
            self.proven.set()


class Tally:
    """What became of the calls; `delays` are seconds from INVITE to 200."""

    def __init__(self) -> None:
        self.made = 0
        self.delays: list[float] = []
        self.lost: Counter[str] = Counter()

    @property
    def answered(self) -> int:
        """Calls that were answered and hung up."""
        return len(self.delays)


class Town:
    """Use it as an async context manager; start the server, then settle() the phones."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        self.authority = ThrowawayCa()
        self.provider = Provider(clock=clock)
        self.provider.registrar.habits.longest_grant = GRANT
        self.fcm = Fcm(self.authority, clock=clock)
        self.fcm.pushes = self._post = Post()
        self.phones: list[Sleeper] = []
        self.tally = Tally()
        self._free: asyncio.Queue[Sleeper] = asyncio.Queue()
        self._folder = folder
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self.fcm)
        await self._open.enter_async_context(self.provider)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def fcm_settings(self) -> dict[str, object]:
        """What the table `apps.<id>.fcm` of the server has to be."""
        return {
            "service_account_file": str(self.fcm.new_key().write(self._folder)),
            "base_url": self.fcm.base_url,
            "ca_file": str(self.authority.write_root(self._folder)),
        }

    async def settle(self, api: str, app_key: str, app_id: str, phones: int) -> None:
        """Let so many phones hand their accounts over, and wait until all are registered."""
        for number in range(phones):
            phone = Sleeper(f"user{number:03}", api, app_key, app_id)
            self._post.owners[phone.push_token] = phone
            self.phones.append(await self._open.enter_async_context(phone))
            await self._hand_over(phone)
        await self.provider.registrar.accepted.count(phones)
        for phone in self.phones:
            await phone.proven.wait()
            self._free.put_nowait(phone)

    async def _hand_over(self, phone: Sleeper) -> None:
        aor = self.provider.add(phone.user, "secret")
        account = {"aor": aor, "password": "secret", "registrar": self.provider.address()}
        answer = await phone.enable(account)
        assert answer.status == 201, answer

    async def call_for(self, seconds: float, per_second: float) -> None:
        """Make calls at an even pace for so long, and wait for the end of the last."""
        clock = asyncio.get_running_loop().time
        start = clock()
        async with asyncio.TaskGroup() as calls:
            for number in range(int(seconds * per_second)):
                await asyncio.sleep(max(0.0, start + number / per_second - clock()))
                calls.create_task(self._call(await self._free.get()))

    async def _call(self, phone: Sleeper) -> None:
        self.tally.made += 1
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                self.tally.delays.append(await self._talk(phone))
        except Lost as lost:
            self.tally.lost[str(lost)] += 1
        except (TimeoutError, LookupError, TransportError) as failed:
            self.tally.lost[type(failed).__name__] += 1
        phone.sleep()
        self._free.put_nowait(phone)

    async def _talk(self, phone: Sleeper) -> float:
        """One call from beginning to end; returns the seconds from INVITE to 200."""
        clock = asyncio.get_running_loop().time
        phone.callees = Inbox()
        began = clock()
        caller = self.provider.call(phone.user)
        final = await caller.final
        took = clock() - began
        if final.status != 200:
            raise Lost(f"INVITE answered {final.status}")
        callee = await phone.callees.next()
        await callee.acknowledged.wait()
        ended = await caller.bye()
        if ended.status != 200:
            raise Lost(f"BYE answered {ended.status}")
        await callee.ended.wait()
        return took


class Lost(Exception):
    """A call that did not go as it must."""
