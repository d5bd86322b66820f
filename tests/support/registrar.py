"""A registrar on loopback that does as the test says, and a registrant beside it."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sipis.clock import ManualClock
from sipis.config import Settings, parse
from sipis.errors import TransportError
from sipis.model import Account, InstanceId, InstanceState, Mode
from sipis.observe.metrics import Metrics
from sipis.registrant.dispatch import Resolver, Rooms
from sipis.registrant.engine import Registrant
from sipis.secret import Secret
from sipis.sip.digest import Algorithm, check, ha1, new_challenge
from sipis.sip.events import AckMissing, CancelReceived, RequestReceived
from sipis.sip.flow import Door, Transport
from sipis.sip.headers import Credentials
from sipis.sip.message import Request, Response, response_to
from sipis.sip.uri import SipUri
from sipis.store import instances, lookup, timing
from sipis.store.inline import InlineRunner
from sipis.store.lookup import InstanceRow
from sipis.transport.endpoint import Endpoint
from sipis.transport.networks import NetworkPolicy
from sipis.transport.targets import Listener, Target
from sipis.vault import Credential, PasswordCredential, Vault
from tests.support.store import new_instance
from tests.support.transport import LOOPBACK
from tests.support.vault import RELAY, open_vault

DOMAIN = "provider.example"
PASSWORD = "secret"
TURNS = 3000
"""Turns of the loop that a test waits for something before it fails."""

Answer = Callable[[Request], Response | None]


@dataclass
class Registrar:
    """Knows every user by the password `secret`, unless it is told to do something else.

    `script` answers the next requests one by one (None: silence); after it the rules hold.
    """

    endpoint: Endpoint
    granted: int = 3600
    algorithm: Algorithm = Algorithm.MD5
    one_time_nonces: bool = False
    padding: str = ""
    """Makes every nonce longer."""
    seen_as: tuple[str, int] | None = None
    """Where a NAT between us makes requests seem to come from."""
    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    bindings: dict[str, str] = field(default_factory=dict)
    _nonces: dict[str, int] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __call__(self, event: RequestReceived | CancelReceived | AckMissing) -> None:
        assert isinstance(event, RequestReceived)
        assert event.transaction is not None
        self.requests.append(event.request)
        answer = self.script.pop(0) if self.script else self.accept
        response = answer(event.request)
        if response is not None and self.seen_as is not None:
            host, port = self.seen_as
            via = response.via.with_param("received", host).with_param("rport", str(port))
            response.headers.set_first("Via", str(via))
        if response is not None:
            self.endpoint.respond(event.transaction, response)

    @property
    def target(self) -> Target:
        """Where it is."""
        bound = self.endpoint.listening[0]
        return Target(bound.transport, bound.host, bound.port)

    def accept(self, request: Request) -> Response:
        """Challenge what is not authorized, bind what is."""
        text = request.headers.get("Authorization")
        if text is None:
            return self.challenge(request)
        credentials = Credentials.parse(text)
        if self._nonces.get(credentials.params.get("nonce") or "", 0) < 1:
            return self.challenge(request, stale=not self.one_time_nonces)
        if not self._is_right(credentials):
            return self.challenge(request)
        if self.one_time_nonces:
            self.forget_nonces()
        return self.bind(request)

    def challenge(self, request: Request, *, stale: bool = False) -> Response:
        """A 401 with a nonce that was never seen."""
        nonce = f"nonce-{next(self._numbers)}{self.padding}"
        self._nonces[nonce] = 1
        response = response_to(request, 401, to_tag="t")
        value = new_challenge(DOMAIN, nonce, self.algorithm, stale=stale)
        response.headers.add("WWW-Authenticate", value)
        return response

    def bind(self, request: Request) -> Response:
        """Write the contacts down and grant."""
        response = response_to(request, 200, to_tag="t")
        for contact in request.contacts:
            uri = contact.uri
            assert isinstance(uri, SipUri)
            gone = "0" in (contact.params.get("expires"), str(request.expires))
            if gone:
                self.bindings.pop(str(uri), None)
            else:
                self.bindings[str(uri)] = uri.user or ""
        for uri_text in self.bindings:
            response.headers.add("Contact", f"<{uri_text}>;expires={self.granted}")
        return response

    def forget_nonces(self) -> None:
        """As a restart of the registrar would."""
        self._nonces.clear()

    def answered(self) -> list[Request]:
        """The requests that carried credentials."""
        return [one for one in self.requests if "Authorization" in one.headers]

    def _is_right(self, credentials: Credentials) -> bool:
        user = credentials.params.get("username") or ""
        digest = ha1(self.algorithm, user, DOMAIN, PASSWORD)
        return check(credentials, ha1_hex=digest, method="REGISTER")


def status(code: int, **headers: str) -> Answer:
    """An answer with this status; `Retry_After="120"` adds a header."""

    def answer(request: Request) -> Response:
        response = response_to(request, code, to_tag="t")
        for name, value in headers.items():
            response.headers.add(name.replace("_", "-"), value)
        return response

    return answer


def silence(_request: Request) -> None:
    """No answer at all."""


@dataclass
class FixedResolver:
    """Every domain is served by these targets, but for those that have their own."""

    targets: list[Target] = field(default_factory=list)
    own: dict[str, list[Target]] = field(default_factory=dict)

    async def resolve(self, uri: SipUri) -> list[Target]:
        found = self.own.get(uri.host, self.targets)
        if not found:
            raise TransportError("no server")
        return list(found)


@dataclass
class Told:
    """An Observer that remembers."""

    states: list[tuple[int, InstanceState, str]] = field(default_factory=list)
    proven: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    unopenable: list[int] = field(default_factory=list)

    def on_state(self, n: int, instance: InstanceId, state: InstanceState, reason: str) -> None:
        self.states.append((n, state, reason))

    def on_proven(self, n: int, realms: Sequence[str]) -> None:
        self.proven.append((n, tuple(realms)))

    def on_unopenable(self, n: int) -> None:
        self.unopenable.append(n)


@dataclass
class Stage:
    """A registrant with its rooms, on a clock that stands still."""

    clock: ManualClock
    store: InlineRunner
    vault: Vault
    endpoint: Endpoint
    resolver: FixedResolver
    registrant: Registrant
    registrar: Registrar
    told: Told
    metrics: Metrics
    _phones: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def add_phone(
        self,
        *,
        password: str = PASSWORD,
        credential: Credential | None = None,
        mode: Mode = Mode.CONTINUOUS,
        domain: str = DOMAIN,
        **account: object,
    ) -> int:
        """A new instance, due at once; returns its number."""
        number = next(self._phones)
        aor = f"sip:user{number}@{domain}"
        instance = InstanceId(f"{number:032x}")
        sealed = await self.vault.admit(
            id=instance,
            app="phone",
            account=Account(aor, **account),  # type: ignore[arg-type]
            credential=credential or PasswordCredential(Secret(password)),
            targets=(),
            push_key=None,
            relay=RELAY,
        )
        new = new_instance(
            number,
            id=instance,
            slot=sealed.slot,
            version=sealed.version,
            sealed_credential=sealed.credential,
            sealed_targets=sealed.targets,
            registrar=domain,
            mode=mode,
            created_at=self.clock.wall(),
            expires_at=self.clock.wall() + 7 * 86_400,
        )
        n = await self.store.write(instances.insert, new)
        self.registrant.wake(n)
        return n

    async def row(self, n: int) -> InstanceRow:
        row = await self.store.read(lookup.by_n, n, self.clock.wall())
        assert row is not None
        return row

    async def registered(self, n: int) -> InstanceRow:
        """The row, once it is registered."""
        await self.until_told(n, InstanceState.REGISTERED)
        return await self.row(n)

    async def until_told(self, n: int, state: InstanceState) -> None:
        await self.until(lambda: any(one[:2] == (n, state) for one in self.told.states))

    async def until(self, condition: Callable[[], bool], step: float = 0.02) -> None:
        """Move the clock in small steps until something holds."""
        for _ in range(TURNS):
            if condition():
                return
            await self.clock.advance(step)
        raise AssertionError("it did not happen")

    async def count(self, outcome: str) -> float:
        """How many attempts ended so."""
        value = self.metrics.registry.get_sample_value(
            "sipis_registrations_total", {"outcome": outcome}
        )
        return value or 0.0

    async def settle(self) -> None:
        """Let everything that is under way come to rest."""
        await self.clock.advance(0.3)


async def refresh(stage: Stage, n: int) -> None:
    """Make a phone due now and wait until its attempt is written down."""
    before = (await stage.row(n)).last_attempt_at
    await stage.clock.advance(1)
    await stage.store.write(timing.make_due, [n], stage.clock.wall())
    stage.registrant.wake(n)
    for _ in range(300):
        await stage.clock.advance(0.02)
        row = await stage.row(n)
        if row.last_attempt_at != before:
            break
    await stage.settle()


def settings_for(**sections: object) -> Settings:
    """Settings with these sections."""
    return parse(sections)


def new_endpoint(
    clock: ManualClock,
    port: int = 0,
    transport: Transport = Transport.UDP,
    *,
    host: str = "127.0.0.1",
    beside: Sequence[Transport] = (),
    **options: object,
) -> Endpoint:
    """An endpoint with a listener of the provider door on loopback; `beside` it on that port."""
    return Endpoint(
        clock=clock,
        listeners=[Listener(Door.PROVIDER, each, host, port) for each in (transport, *beside)],
        policy=NetworkPolicy(LOOPBACK),
        entropy=os.urandom,
        **options,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def registrar_on(
    clock: ManualClock,
    transport: Transport = Transport.UDP,
    host: str = "127.0.0.1",
    *,
    port: int = 0,
    beside: Sequence[Transport] = (),
) -> AsyncIterator[Registrar]:
    """A registrar that listens; `beside` needs a port that is free for all."""
    endpoint = new_endpoint(clock, port, transport, host=host, beside=beside)
    registrar = Registrar(endpoint)
    endpoint.on_request[Door.PROVIDER] = registrar
    endpoint.strangers.trusted = lambda _flow: True
    async with _running(endpoint):
        yield registrar


@asynccontextmanager
async def staged(
    directory: Path,
    clock: ManualClock,
    registrar: Registrar,
    *,
    settings: Settings | None = None,
    port: int = 0,
    names: Resolver | None = None,
) -> AsyncIterator[Stage]:
    """A running registrant; two after another on one directory are a restart.

    `names` finds the registrar, instead of the stage's own resolver.
    """
    store = InlineRunner(directory)
    vault = open_vault(directory)
    endpoint = new_endpoint(clock, port)
    resolver, told, metrics = FixedResolver([registrar.target]), Told(), Metrics()
    async with _running(endpoint):
        rooms = Rooms(store, vault, endpoint, names or resolver, clock)
        registrant = Registrant(
            rooms,
            settings or settings_for(),
            told,
            entropy=os.urandom,
            metrics=metrics,
            jitter=lambda: 0.5,
        )
        task = asyncio.create_task(registrant.run())
        stage = Stage(clock, store, vault, endpoint, resolver, registrant, registrar, told, metrics)
        await clock.advance(0.05)
        try:
            yield stage
        finally:
            await registrant.stop()
            await task
            await store.close()
            vault.close()


@asynccontextmanager
async def _running(endpoint: Endpoint) -> AsyncIterator[None]:
    await endpoint.start()
    task = asyncio.create_task(endpoint.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        await endpoint.stop()
        await task
