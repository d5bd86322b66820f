"""Proof that a push token belongs to whoever enabled the instance: a code that only it receives.

The code goes out in a `verify` push; its hash is stored beside each token that it was sent to.
Refuses guessing: after a few wrong codes the right one is void too. Refuses to trouble a phone that
does not answer: a code is repeated only when the one before has run out. PushKit tokens get no code
(they ring); they are proven with their siblings, or by the app's first REGISTER at the relay.
"""

import sqlite3
from collections import OrderedDict
from typing import Final, TypeVar

from sipis.lifecycle import bearer
from sipis.lifecycle.herald import Herald
from sipis.lifecycle.means import Means
from sipis.lifecycle.orders import TooManyAttempts
from sipis.model import PushEvent, TargetKind
from sipis.store import targets
from sipis.store.lookup import InstanceRow

CODE_TTL: Final = 3600.0
MOST_WRONG: Final = 5
MOST_REMEMBERED: Final = 10_000

V = TypeVar("V")


class Proof:
    """Sends codes and checks what comes back."""

    def __init__(self, means: Means, herald: Herald) -> None:
        self._means = means
        self._herald = herald
        self._wrong: OrderedDict[int, int] = OrderedDict()
        self._good_until: OrderedDict[int, float] = OrderedDict()

    def ask(self, row: InstanceRow) -> None:
        """Send a code in the background where the app's settings ask for proof."""
        settings = self._means.settings.apps.get(row.app)
        if settings is not None and settings.require_verification:
            self._wrong.pop(row.n, None)
            self._means.jobs.spawn("verify", self._send_code(row.n))

    def remind(self, row: InstanceRow) -> None:
        """Send another code if nothing is proven yet and the last code has run out."""
        if not row.verified and self._good_until.get(row.n, 0.0) <= self._means.calendar.now():
            self.ask(row)

    async def check(self, row: InstanceRow, code: str) -> bool | TooManyAttempts:
        """Whether this is the code of one of the instance's tokens; then all are proven."""
        if self._wrong.get(row.n, 0) >= MOST_WRONG:
            return TooManyAttempts()
        now = self._means.calendar.now()
        if await self._means.store.write(_verify, row.n, bearer.hash_of(code), now):
            self._wrong.pop(row.n, None)
            return True
        _remember(self._wrong, row.n, self._wrong.get(row.n, 0) + 1)
        return False

    async def accept(self, n: int) -> None:
        """The app has shown itself in another way: all its tokens are proven."""
        rows = await self._means.store.read(targets.list_for, n)
        if not all(row.verified for row in rows):
            await self._means.store.write(targets.mark_verified, n)

    async def _send_code(self, n: int) -> None:
        code = bearer.new_code(self._means.entropy)
        until = self._means.calendar.now() + CODE_TTL
        if await self._means.store.write(_expect, n, bearer.hash_of(code), until):
            _remember(self._good_until, n, until)
            await self._herald.tell(n, PushEvent.VERIFY, code=code)


def _remember(table: "OrderedDict[int, V]", n: int, value: V) -> None:
    """Note a value, and forget the oldest when there are too many."""
    table[n] = value
    table.move_to_end(n)
    if len(table) > MOST_REMEMBERED:
        table.popitem(last=False)


def _expect(conn: sqlite3.Connection, n: int, code_hash: bytes, until: float) -> bool:
    """Await the code from every unproven token that can be told one; False: there is none."""
    waiting = [
        row
        for row in targets.list_for(conn, n)
        if not (row.verified or row.dead or row.kind is TargetKind.VOIP)
    ]
    for row in waiting:
        targets.expect_code(conn, n, row.index, code_hash, until)
    return bool(waiting)


def _verify(conn: sqlite3.Connection, n: int, code_hash: bytes, now: float) -> bool:
    if not targets.verify(conn, n, code_hash, now):
        return False
    targets.mark_verified(conn, n)
    return True
