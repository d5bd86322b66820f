"""Hands stored messages to an app that is awake, one after another, oldest first.

A message is erased once the app has answered it with 2xx; one that the app cannot take stays for
the HTTP API. Refuses a second round for the same phone while one is under way.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Final

import structlog

from sipis.errors import FieldError, StoreError, VaultError
from sipis.relay.bindings import Binding
from sipis.relay.finding import Found
from sipis.relay.fresh import with_fresh
from sipis.relay.letters import Letter
from sipis.relay.ports import Outcome
from sipis.relay.tools import Tools
from sipis.sip.events import ResponseReceived
from sipis.sip.headers import NameAddr
from sipis.sip.message import Request
from sipis.sip.uri import NO_PARAMS
from sipis.store import messages
from sipis.store.messages import MessageRow
from sipis.store.runner import Store
from sipis.vault import Vault

PURPOSE: Final = "message"
MESSAGE_HEADER: Final = "X-Sipis-Message-ID"
PATIENCE: Final = 3.0
"""Seconds after which an app that is silent is taken for asleep, and pushed."""
_TRY_AGAIN: Final = frozenset({408, 480, 487, 491})

_log = structlog.get_logger("relay")


class Courier:
    """Delivers over SIP."""

    def __init__(self, tools: Tools, store: Store, vault: Vault) -> None:
        self._tools = tools
        self._store = store
        self._vault = vault
        self._asked: Counter[int] = Counter()
        self._under_way: dict[int, asyncio.Future[bool]] = {}

    async def deliver(self, found: Found) -> bool:
        """Hand over all that waits; True when the app has got everything that it can take."""
        binding = self._tools.bindings.find(found.n, self._tools.clock.monotonic())
        if binding is None or not self._tools.sip.is_open(binding.flow):
            return False
        self._asked[found.n] += 1
        under_way = self._under_way.get(found.n)
        return await (self._set_out(found) if under_way is None else asyncio.shield(under_way))

    async def _set_out(self, found: Found) -> bool:
        """Go round, and let everybody who asks meanwhile know how it went."""
        outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._under_way[found.n], delivered = outcome, False
        try:
            delivered = await self._rounds_of(found)
        except (StoreError, VaultError) as trouble:
            _log.warning("not delivered", instance=found.id, error=type(trouble).__name__)
        finally:
            del self._asked[found.n], self._under_way[found.n]
            outcome.set_result(delivered)
        return delivered

    async def _rounds_of(self, found: Found) -> bool:
        """Go round again for what came meanwhile."""
        while True:
            asked = self._asked[found.n]
            if not await self._round(found):
                return False
            if self._asked[found.n] == asked:
                return True

    async def _round(self, found: Found) -> bool:
        now = self._tools.clock.wall()
        for row in await self._store.read(messages.undelivered, found.n, now):
            binding = self._tools.bindings.find(found.n, self._tools.clock.monotonic())
            if binding is None or not await self._hand_over(found, row, binding):
                return False
        return True

    async def _hand_over(self, found: Found, row: MessageRow, binding: Binding) -> bool:
        """Send one message; False when the app is not reached."""
        letter = await self.read(found, row)
        if letter is None:
            await self._settle(row, 400)
            return True
        status = await self._send(letter, row, binding)
        if status is None or status in _TRY_AGAIN or status >= 500:
            return False
        await self._settle(row, status)
        return True

    async def _settle(self, row: MessageRow, status: int) -> None:
        """What the app has is erased; what it cannot take waits to be fetched."""
        if status < 300:
            await self._store.write(messages.remove, row.n, row.mid)
        else:
            await self._store.write(messages.mark_delivered, row.n, row.mid)

    async def read(self, found: Found, row: MessageRow) -> Letter | None:
        """The message of a row; None when it can no longer be read."""

        def opened(one: Found) -> bytes:
            return self._vault.open_content(one.row, PURPOSE, row.mid, row.sealed)

        try:
            plain = await with_fresh(self._store, self._tools.clock.wall(), found, opened)
            return Letter.from_bytes(plain, row.mid, row.received_at)
        except (VaultError, FieldError):
            return None

    async def _send(self, letter: Letter, row: MessageRow, binding: Binding) -> int | None:
        """The final status of the app; None where there is none in time."""
        clock, final = self._tools.clock, _new_future()

        def hear(outcome: Outcome) -> None:
            status = outcome.response.status if isinstance(outcome, ResponseReceived) else None
            if not final.done() and (status is None or status >= 200):
                final.set_result(status)
            elif status is not None and 200 <= status < 300:
                self._tools.spawn("settle", self._settle(row, status))

        self._tools.sip.send(_message(self._tools, letter, binding), binding.flow, hear)
        alarm = clock.call_at(clock.monotonic() + PATIENCE, lambda: _give_up(final))
        try:
            return await final
        finally:
            alarm.cancel()


def _new_future() -> asyncio.Future[int | None]:
    return asyncio.get_running_loop().create_future()


def _give_up(final: asyncio.Future[int | None]) -> None:
    if not final.done():
        final.set_result(None)


def _message(tools: Tools, letter: Letter, binding: Binding) -> Request:
    sender = NameAddr.parse(letter.sender)
    caller = replace(sender, params=NO_PARAMS.with_("tag", tools.token()))
    headers = [
        ("Max-Forwards", "70"),
        *[("Route", str(hop)) for hop in binding.path],
        ("From", str(caller)),
        ("To", f"<{letter.recipient}>"),
        ("Call-ID", tools.token()),
        ("CSeq", "1 MESSAGE"),
        ("User-Agent", tools.user_agent),
        (MESSAGE_HEADER, letter.mid),
        *letter.headers,
    ]
    return Request.build("MESSAGE", binding.contact.uri, headers, letter.body)
