"""Text messages: kept sealed until the app has them (RFC 3428).

A MESSAGE is stored before it is answered, so that what was answered 202 is never lost; when it
cannot be stored, the provider is told to try again. Repeats, also after the transaction is
forgotten, are answered and not kept twice.
Refuses to wake anybody for "is composing" or delivery reports, and never pushes by VoIP.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from sipis.config import PolicySettings
from sipis.errors import FieldError, RemoteProtocolError, StoreError, VaultError
from sipis.model import PushEvent
from sipis.observe.metrics import Metrics
from sipis.relay.budget import Budget
from sipis.relay.caller import caller_of, clean_name
from sipis.relay.content import Treatment, message_id, preview, treatment
from sipis.relay.courier import PURPOSE, Courier
from sipis.relay.finding import Found
from sipis.relay.fresh import with_fresh
from sipis.relay.headers import unsupported
from sipis.relay.legs import Headers
from sipis.relay.letters import Letter
from sipis.relay.recent import Recent
from sipis.relay.tools import Tools
from sipis.relay.waker import Tidings, Waker
from sipis.sip.events import RequestReceived
from sipis.sip.message import Request
from sipis.store import messages
from sipis.store.messages import NewMessage, Stored
from sipis.store.runner import Store
from sipis.vault import Vault

RETRY_LATER: Final = ("Retry-After", "30")
MESSAGE_WINDOW: Final = 3600.0

_log = structlog.get_logger("relay")


class Pager:
    """Takes the messages of all providers."""

    def __init__(
        self,
        *,
        tools: Tools,
        store: Store,
        vault: Vault,
        waker: Waker,
        courier: Courier,
        policy: PolicySettings,
        metrics: Metrics,
    ) -> None:
        self._tools = tools
        self._store = store
        self._vault = vault
        self._waker = waker
        self._courier = courier
        self._policy = policy
        self._metrics = metrics
        self._budget = Budget(policy.messages_per_minute)
        self._kept = Recent()

    def choose(self, event: RequestReceived, found: Sequence[Found]) -> Found:
        """Of phones with one address-of-record, the first that does not have this message yet."""
        if len(found) == 1:
            return found[0]
        name, now = self._vault.index(identity(event.request)), self._tools.clock.monotonic()
        new_to = (one for one in found if not self._kept.has(one.n, name, now))
        return next(new_to, found[0])

    async def take(self, event: RequestReceived, found: Found) -> None:
        """Keep a MESSAGE, answer it, and let the app know."""
        refusal = self._refusal(event.request, found)
        if refusal is not None:
            self._answer(event, *refusal, outcome="refused")
        elif treatment(event.request) is Treatment.DROP:
            self._answer(event, 200, (), outcome="dropped")
        else:
            await self._keep(event, found)

    def _refusal(self, request: Request, found: Found) -> tuple[int, Headers] | None:
        missing = unsupported(request)
        if missing:
            return 420, [("Unsupported", ", ".join(missing))]
        if len(request.body) > self._policy.max_message:
            return 413, []
        if not self._budget.spend(found.n, self._tools.clock.monotonic()):
            return 480, [("Retry-After", "60")]
        return None

    async def _keep(self, event: RequestReceived, found: Found) -> None:
        mid = self._tools.token()
        try:
            stored = await self._store_sealed(event.request, found, mid)
        except RemoteProtocolError as broken:
            self._answer(event, broken.status_hint or 400, (), outcome="refused")
        except FieldError:
            self._answer(event, 413, (), outcome="refused")
        except (StoreError, VaultError) as trouble:
            _log.error("message not kept", instance=found.id, error=type(trouble).__name__)
            self._answer(event, 503, [RETRY_LATER], outcome="failed")
        else:
            await self._acknowledge(event, found, stored, mid)

    async def _acknowledge(
        self, event: RequestReceived, found: Found, stored: Stored, mid: str
    ) -> None:
        if stored is Stored.FULL:
            self._answer(event, 480, [RETRY_LATER], outcome="full")
            return
        self._answer(event, 202, (), outcome=stored.value)
        if stored is Stored.DUPLICATE:
            return
        if await self._courier.deliver(found):
            return
        if treatment(event.request) is Treatment.PUSH:
            await self._waker.tell(found, self._tidings(event.request, mid))

    async def _store_sealed(self, request: Request, found: Found, mid: str) -> Stored:
        """Keep a message once: also when the app has it already and it was erased."""
        clock, dedupe = self._tools.clock, self._vault.index(identity(request))
        if self._kept.has(found.n, dedupe, clock.monotonic()):
            return Stored.DUPLICATE
        now = clock.wall()
        letter = Letter.of(request, mid, now)

        def seal(one: Found) -> bytes:
            return self._vault.seal_content(one.row, PURPOSE, mid, letter.to_bytes())

        sealed = await with_fresh(self._store, now, found, seal)
        expires_at = min(now + self._policy.message_ttl, found.row.expires_at)
        new = NewMessage(found.n, mid, dedupe, now, expires_at, sealed)
        stored = await self._store.write(messages.add, new, most=self._policy.max_messages)
        if stored is Stored.KEPT:
            self._kept.note(found.n, dedupe, clock.monotonic())
        return stored

    def _tidings(self, request: Request, mid: str) -> Tidings:
        text = preview(request)
        return Tidings(
            PushEvent.MESSAGE,
            MESSAGE_WINDOW,
            message=mid,
            sender=caller_of(request),
            text=None if text is None else clean_name(text, longest=len(text)),
            urgent=True,
        )

    def _answer(
        self, event: RequestReceived, status: int, headers: Headers, *, outcome: str
    ) -> None:
        self._metrics.count("messages_total", outcome=outcome)
        self._tools.reply(event, status, headers)


def identity(request: Request) -> str:
    """What makes a message the same when it comes again: its IMDN id, else its transaction."""
    known = message_id(request)
    if known is not None:
        return f"imdn|{request.from_.uri}|{known}"
    return "|".join(
        ("message", str(request.from_), str(request.to), request.call_id, str(request.cseq))
    )
