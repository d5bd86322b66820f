"""Message waiting: an unsolicited NOTIFY tells how many voice messages there are (RFC 3842).

The phone hears of it only when there are more than before; the last count is kept sealed, so that
a restart pushes nothing twice. Refuses other events with 489, and VoIP pushes for this one.
"""

import sqlite3
from functools import partial
from typing import Final

import structlog

from sipis.errors import FieldError, StoreError, VaultError
from sipis.model import PushEvent
from sipis.relay.finding import Found
from sipis.relay.fresh import with_fresh
from sipis.relay.summary import new_voice_messages
from sipis.relay.tools import Tools
from sipis.relay.waker import Tidings, Waker
from sipis.sip.events import RequestReceived
from sipis.store import records
from sipis.store.records import Kind
from sipis.store.runner import Store
from sipis.vault import Vault

EVENT: Final = "message-summary"
PURPOSE: Final = "voicemail"
ITEM: Final = "count"

_log = structlog.get_logger("relay")


class Mailbox:
    """Takes the message summaries of all providers."""

    def __init__(self, *, tools: Tools, store: Store, vault: Vault, waker: Waker) -> None:
        self._tools = tools
        self._store = store
        self._vault = vault
        self._waker = waker

    async def take(self, event: RequestReceived, found: Found) -> None:
        """Answer a NOTIFY, and push when new messages have come."""
        package = (event.request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if package != EVENT:
            self._tools.reply(event, 489, [("Allow-Events", EVENT)])
            return
        self._tools.reply(event, 200)
        count = new_voice_messages(event.request.body)
        if count is None:
            return
        try:
            risen = await self._note(found, count)
        except (StoreError, VaultError, FieldError) as trouble:
            _log.warning("count not kept", instance=found.id, error=type(trouble).__name__)
            return
        if risen:
            await self._waker.tell(found, Tidings(PushEvent.MWI, collapse="mwi"))

    async def _note(self, found: Found, count: int) -> bool:
        """Keep the count; True when it is higher than the last one.

        Two summaries may come at once: whoever finds the count changed meanwhile compares again.
        """
        while True:
            sealed = await self._store.read(_last, found.n)
            judge = partial(self._judge, sealed, count)
            before, new = await with_fresh(self._store, self._tools.clock.wall(), found, judge)
            if count == before or await self._store.write(_replace, found.n, sealed, new):
                return count > before

    def _judge(self, sealed: bytes | None, count: int, found: Found) -> tuple[int, bytes]:
        """The last count, and the new one sealed."""
        row, vault = found.row, self._vault
        before = 0 if sealed is None else int(vault.open_content(row, PURPOSE, ITEM, sealed))
        return before, vault.seal_content(row, PURPOSE, ITEM, str(count).encode())


def _last(conn: sqlite3.Connection, n: int) -> bytes | None:
    return records.get(conn, Kind.VOICEMAIL, n)


def _replace(conn: sqlite3.Connection, n: int, old: bytes | None, new: bytes) -> bool:
    """Keep the new count, unless another one has taken the place of the old."""
    if _last(conn, n) != old:
        return False
    records.put(conn, Kind.VOICEMAIL, n, new)
    return True
