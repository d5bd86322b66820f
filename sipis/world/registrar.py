"""The registrar of the world's SIP provider (RFC 3261 10.3): Digest, bindings, and bad habits.

Refuses mercy: nonces age, valid ones are refused at a rate, grants are shortened, on request.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from sipis.clock import Clock
from sipis.sip.digest import Algorithm, check, ha1, new_challenge
from sipis.sip.flow import Flow
from sipis.sip.headers import Credentials, NameAddr
from sipis.sip.message import Request, Response, response_to
from sipis.sip.uri import SipUri
from sipis.world.chaos import Chaos
from sipis.world.inbox import Inbox


class ProviderMischief(StrEnum):
    """What a provider may do to a REGISTER, by the dice."""

    SILENCE = "silence"
    STALE = "stale"
    SHORT_GRANT = "short grant"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final response to the next REGISTER, whatever it is."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Habits:
    """How this registrar behaves; change it while it runs. Times are seconds."""

    algorithms: tuple[Algorithm, ...] = (Algorithm.MD5,)
    qop: str = "auth"
    nonce_age: float = 300.0
    one_time_nonces: bool = False
    longest_grant: int = 3600
    min_expires: int = 0
    silent: bool = False
    refusals: deque[Refusal] = field(default_factory=deque)


@dataclass(slots=True)
class Binding:
    """One Contact of an AoR; `expires_at` is monotonic seconds."""

    contact: NameAddr
    flow: Flow
    expires_at: float
    call_id: str
    cseq: int


class Registrar:
    """The location table of one domain, and who may write to it."""

    def __init__(
        self,
        domain: str,
        clock: Clock,
        token: Callable[[], str],
        chaos: Chaos[ProviderMischief] | None = None,
    ) -> None:
        self.passwords: dict[str, str] = {}
        self.habits = Habits()
        self.requests: Inbox[Request] = Inbox()
        self.accepted: Inbox[Request] = Inbox()
        self._domain = domain
        self._clock = clock
        self._token = token
        self._chaos = chaos
        self._nonces: dict[str, float] = {}
        self._bindings: dict[str, dict[str, Binding]] = {}

    def bindings(self, user: str) -> list[Binding]:
        """The live bindings of a user, newest last."""
        now = self._clock.monotonic()
        return [it for it in self._bindings.get(user, {}).values() if it.expires_at > now]

    def receive(self, request: Request, flow: Flow) -> Response | None:
        """Judge a REGISTER; None is silence."""
        self.requests.put(request)
        mischief = self._chaos.roll() if self._chaos else None
        if self.habits.silent or mischief is ProviderMischief.SILENCE:
            return None
        if mischief is ProviderMischief.UNAVAILABLE:
            return _refused(request, Refusal(503, (("Retry-After", "1"),)))
        if self.habits.refusals:
            return _refused(request, self.habits.refusals.popleft())
        if not self._is_proven(request, stale=mischief is ProviderMischief.STALE):
            return self._challenge(request)
        wanted = _expires_of(request)
        if 0 < wanted < self.habits.min_expires:
            return _refused(request, Refusal(423, (("Min-Expires", str(self.habits.min_expires)),)))
        longest = 60 if mischief is ProviderMischief.SHORT_GRANT else self.habits.longest_grant
        return self._accept(request, flow, min(wanted, longest))

    def _is_proven(self, request: Request, *, stale: bool) -> bool:
        value = request.headers.get("Authorization")
        if value is None or stale:
            return False
        credentials = Credentials.parse(value)
        get = credentials.params.get
        made_at = self._nonces.get(get("nonce") or "")
        if made_at is None or self._clock.monotonic() - made_at > self.habits.nonce_age:
            return False
        if self.habits.one_time_nonces:
            del self._nonces[get("nonce") or ""]
        user = get("username") or ""
        password = self.passwords.get(user)
        algorithm = Algorithm(get("algorithm") or "MD5")
        if password is None or algorithm not in self.habits.algorithms:
            return False
        secret = ha1(algorithm.base, user, self._domain, password)
        return check(credentials, ha1_hex=secret, method="REGISTER", body=request.body)

    def _challenge(self, request: Request) -> Response:
        response = response_to(request, 401, to_tag=self._token())
        stale = self._names_an_old_nonce(request)
        nonce = self._token()
        self._nonces[nonce] = self._clock.monotonic()
        for algorithm in self.habits.algorithms:
            response.headers.add(
                "WWW-Authenticate",
                new_challenge(self._domain, nonce, algorithm, stale=stale, qop=self.habits.qop),
            )
        return response

    def _names_an_old_nonce(self, request: Request) -> bool:
        value = request.headers.get("Authorization")
        if value is None or self.habits.one_time_nonces:
            return False
        made_at = self._nonces.get(Credentials.parse(value).params.get("nonce") or "")
        return made_at is None or self._clock.monotonic() - made_at > self.habits.nonce_age

    def _accept(self, request: Request, flow: Flow, granted: int) -> Response:
        self.accepted.put(request)
        user = _user_of(request)
        table = self._bindings.setdefault(user, {})
        for contact in request.contacts:
            self._bind(table, contact, request, flow, granted)
        response = response_to(request, 200, to_tag=self._token())
        for binding in self.bindings(user):
            left = round(binding.expires_at - self._clock.monotonic())
            response.headers.add("Contact", f"<{binding.contact.uri}>;expires={left}")
        return response

    def _bind(
        self,
        table: dict[str, Binding],
        contact: NameAddr,
        request: Request,
        flow: Flow,
        granted: int,
    ) -> None:
        key = str(contact.uri)
        table.pop(key, None)
        if granted and contact.params.get("expires") != "0":
            until = self._clock.monotonic() + granted
            table[key] = Binding(contact, flow, until, request.call_id, request.cseq.number)


def _refused(request: Request, refusal: Refusal) -> Response:
    response = response_to(request, refusal.status, to_tag="refused")
    for name, value in refusal.headers:
        response.headers.add(name, value)
    return response


def _expires_of(request: Request) -> int:
    own = request.contacts[0].params.get("expires") if request.contacts else None
    if own is not None and own.isdecimal():
        return int(own)
    return 3600 if request.expires is None else request.expires


def _user_of(request: Request) -> str:
    uri = request.to.uri
    return uri.unescaped_user or "" if isinstance(uri, SipUri) else ""
