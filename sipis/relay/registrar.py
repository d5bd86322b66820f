"""The registrar of the app's side: an app that wakes registers here and is reachable on its flow.

A binding is granted for at most an hour and dies with its flow (RFC 5626); there is one per
instance. The credentials are those of the relay login, checked by the vault alone.
Refuses to tell who exists: an unknown user gets the same challenge as a wrong password. Over UDP,
where the source can be forged, only who names a user that exists gets one; names are random text.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from sipis.config import SipSettings
from sipis.errors import RemoteProtocolError, StoreError, VaultError
from sipis.observe.metrics import Metrics
from sipis.relay.admission import is_token
from sipis.relay.bindings import Binding
from sipis.relay.finding import Found, by_relay_user
from sipis.relay.fresh import with_fresh
from sipis.relay.nonces import Nonces, Verdict
from sipis.relay.tools import Tools
from sipis.sip.digest import Algorithm, new_challenge
from sipis.sip.events import RequestReceived
from sipis.sip.flow import Transport
from sipis.sip.grammar import parse_number
from sipis.sip.headers import Credentials, NameAddr
from sipis.sip.message import Request
from sipis.sip.uri import SipUri
from sipis.store.runner import Store
from sipis.vault import Vault

LONGEST_GRANT: Final = 3600
_NUMBER: Final = 2**32 - 1
_KNOWN_TAGS: Final = frozenset({"path", "outbound", "gruu"})

_log = structlog.get_logger("relay")

Arrived = Callable[[Found, Binding], Awaitable[None]]


class Registrar:
    """Keeps the bindings of awake apps."""

    def __init__(
        self,
        *,
        tools: Tools,
        store: Store,
        vault: Vault,
        settings: SipSettings,
        metrics: Metrics,
        arrived: Arrived,
    ) -> None:
        self._tools = tools
        self._store = store
        self._vault = vault
        self._settings = settings
        self._metrics = metrics
        self._arrived = arrived
        self._nonces = Nonces(tools.entropy(32))

    def receive(self, event: RequestReceived) -> None:
        """Take a REGISTER."""
        if event.flow.transport is not Transport.UDP or self._tools.bindings.on_flow(event.flow):
            self._judge(event)
        elif not self._tools.spawn("greet", self._greet(event)):
            self._tools.ignore(event)

    def challenge(self, event: RequestReceived, *, stale: bool = False) -> None:
        """Ask who is there."""
        self._metrics.count("relay_registrations_total", outcome="challenged")
        nonce = self._nonces.new(event.flow, self._tools.clock.monotonic())
        realm = self._settings.relay_realm
        self._tools.reply(
            event,
            401,
            [
                ("WWW-Authenticate", new_challenge(realm, nonce, Algorithm(name), stale=stale))
                for name in self._settings.relay_algorithms
            ],
        )

    async def _greet(self, event: RequestReceived) -> None:
        """Over UDP, judge the REGISTER of a user that exists; ignore all others."""
        uri = event.request.to.uri
        user = uri.user if isinstance(uri, SipUri) else None
        if user is not None and await self._exists(user):
            self._judge(event)
        else:
            self._metrics.count("foreign_requests_total", door=event.flow.door.value)
            self._tools.ignore(event)

    async def _exists(self, user: str) -> bool:
        try:
            return is_token(user) and await self._find(user) is not None
        except StoreError:
            return False

    async def _find(self, user: str) -> Found | None:
        return await self._store.read(by_relay_user, user, self._tools.clock.wall())

    def _judge(self, event: RequestReceived) -> None:
        credentials = self._credentials(event.request)
        if credentials is None:
            self.challenge(event)
            return
        verdict = self._nonces.judge(credentials, event.flow, self._tools.clock.monotonic())
        if verdict is not Verdict.FRESH:
            self.challenge(event, stale=verdict is Verdict.STALE)
        elif not self._tools.spawn("register", self._check(event, credentials)):
            self._tools.reply(event, 503, [("Retry-After", "5")])

    def _credentials(self, request: Request) -> Credentials | None:
        """The answer to a challenge of our realm, made with an algorithm that we offer."""
        for line in request.headers.get_all("Authorization"):
            try:
                credentials = Credentials.parse(line)
            except RemoteProtocolError:
                continue
            get = credentials.params.get
            algorithm = (get("algorithm") or "MD5").upper()
            ours = get("realm") == self._settings.relay_realm
            if ours and algorithm in self._settings.relay_algorithms:
                return credentials
        return None

    async def _check(self, event: RequestReceived, credentials: Credentials) -> None:
        try:
            found = await self._find(credentials.params.get("username") or "")
        except StoreError:
            self._tools.reply(event, 503, [("Retry-After", "5")])
            return
        if found is None or not await self._proves(found, credentials, event.request):
            self.challenge(event)
            return
        unknown = sorted(event.request.require - _KNOWN_TAGS)
        if unknown:
            self._tools.reply(event, 420, [("Unsupported", ", ".join(unknown))])
            return
        try:
            binding = self._register(event, found)
        except RemoteProtocolError as broken:
            self._tools.reply(event, broken.status_hint or 400)
            return
        if binding is not None:
            await self._arrived(found, binding)

    async def _proves(self, found: Found, credentials: Credentials, request: Request) -> bool:
        def proves(one: Found) -> bool:
            account = self._vault.open_account(one.sealed)
            return account.check_relay(credentials, request.method, request.body)

        try:
            return await with_fresh(self._store, self._tools.clock.wall(), found, proves)
        except (VaultError, StoreError):
            return False

    def _register(self, event: RequestReceived, found: Found) -> Binding | None:
        """Change the binding as asked, and answer; returns what is bound now by this request."""
        request = event.request
        granted = [(contact, self._grant(request, contact)) for contact in request.contacts]
        binding = self._bind(event, found, granted)
        leaves = request.is_star_contact or (bool(granted) and binding is None)
        if leaves and self._holds(event, found):
            self._tools.bindings.unbind(found.n)
        self._metrics.count(
            "relay_registrations_total", outcome="unregistered" if leaves else "registered"
        )
        self._tools.reply(event, 200, self._outcome(found, request))
        return binding

    def _bind(
        self, event: RequestReceived, found: Found, granted: Sequence[tuple[NameAddr, int]]
    ) -> Binding | None:
        """The first Contact that is to last; a phone has but one."""
        lasting = next(((contact, grant) for contact, grant in granted if grant), None)
        if lasting is None:
            return None
        contact, grant = lasting
        until = self._tools.clock.monotonic() + grant
        path = event.request.paths
        binding = Binding(found.n, found.id, event.flow, contact, until, path)
        self._tools.bindings.bind(binding)
        self._tools.sip.hold(event.flow, grant)
        _log.info("app registered", instance=found.id, transport=event.flow.transport.value)
        return binding

    def _holds(self, event: RequestReceived, found: Found) -> bool:
        """Whether the binding is what is taken back: by its own flow and its own Contact."""
        now = self._tools.clock.monotonic()
        binding = self._tools.bindings.find(found.n, now)
        if binding is None or binding.flow != event.flow:
            return False
        request = event.request
        return request.is_star_contact or any(map(binding.is_named_by, request.contacts))

    def _outcome(self, found: Found, request: Request) -> list[tuple[str, str]]:
        now = self._tools.clock.monotonic()
        binding = self._tools.bindings.find(found.n, now)
        if binding is None:
            return []
        left = max(1, round(binding.until - now))
        contact = binding.contact.with_param("expires", str(left))
        paths = [("Path", value) for value in request.headers.get_all("Path")]
        return [("Contact", str(contact)), *paths]

    def _grant(self, request: Request, contact: NameAddr) -> int:
        """Seconds that a Contact gets: what it asks for, never above LONGEST_GRANT (10.3)."""
        asked = parse_number(contact.params.get("expires") or "", _NUMBER)
        if asked is None:
            asked = LONGEST_GRANT if request.expires is None else request.expires
        return min(asked, LONGEST_GRANT)
