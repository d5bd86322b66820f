"""The nouns of a push and the one-method interface that each push service implements.

Refuses to know any service: tokens are opaque text, accounts belong to the adapters.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sipis.model import Environment, PushEvent, PushService, PushTarget
from sipis.push.outcome import PushOutcome


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell one instance; `deadline` is monotonic seconds."""

    instance: str
    app: str
    event: PushEvent
    payload: Mapping[str, object] = field(repr=False)
    """The `sipis` object, from payload.compose()."""
    deadline: float
    call: str | None = None
    collapse: str | None = None
    """A later push with the same word replaces this one on the phone; at most 64 bytes."""
    urgent: bool = False
    """The user will see it at once; calls are urgent by nature."""
    since: float | None = None
    """When what it tells of happened (monotonic), where the time to the wire is to be measured."""

    @property
    def pressing(self) -> bool:
        """Whether it goes with high priority."""
        return self.urgent or self.event is PushEvent.CALL


@dataclass(frozen=True, slots=True)
class AddressedTarget:
    """A target with what its row knows of it; `registered_at` is Unix seconds."""

    n: int
    index: int
    target: PushTarget = field(repr=False)
    registered_at: float
    ever_accepted: bool = False


def nothing() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class TargetedPush:
    """One attempt: a notification for one target; `deadline` (monotonic) is that of the attempt."""

    notification: Notification
    target: PushTarget = field(repr=False)
    environment: Environment
    push_id: str
    """Canonical lower-case UUID, the same in every attempt."""
    deadline: float
    on_sent: Callable[[], None] = field(default=nothing, repr=False, compare=False)
    """Called when the request is handed to the connection."""


class PushProvider(Protocol):
    """A push service, as the dispatcher sees it."""

    @property
    def service(self) -> PushService:
        """Which service this is."""

    async def send(self, push: TargetedPush) -> PushOutcome:
        """Send one push and return what became of it by `push.deadline`; never raises."""

    def warm(self, app: str) -> None:
        """Get ready for the first push of that app: connect, fetch tokens; in the background."""

    async def close(self) -> None:
        """Let go of all connections."""


class Spawner(Protocol):
    """What the adapters need of the room's supervisor."""

    def spawn(self, name: str, job: Coroutine[object, object, None]) -> bool:
        """Run a job beside the services; False when it was dropped."""

    def serve(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Keep a service running until it returns."""


class Signer(Protocol):
    """A private key that stays in the vault."""

    @property
    def key_id(self) -> str:
        """The name of the key at the push service."""

    def sign(self, message: bytes) -> bytes:
        """Return the JOSE signature (RFC 7518 3.3 and 3.4): ES256 as r || s, RS256 as it is."""


@dataclass(frozen=True, slots=True)
class ApnsAccount:
    """The operator's key at Apple for one app."""

    team_id: str
    topic: str
    signer: Signer
    servers: Mapping[Environment, tuple[str, int]]
    """Host and port of each environment; `apns_servers()` gives Apple's."""
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class FcmAccount:
    """The operator's service account at Google for one app."""

    project_id: str
    client_email: str
    signer: Signer
    token_uri: str = "https://oauth2.googleapis.com/token"
    base_url: str = "https://fcm.googleapis.com"
    ca_file: Path | None = None


APPLE: Mapping[Environment, str] = {
    Environment.PRODUCTION: "api.push.apple.com",
    Environment.SANDBOX: "api.sandbox.push.apple.com",
}


def apns_servers(
    server: str | None = None, port: int = 443
) -> Mapping[Environment, tuple[str, int]]:
    """Return Apple's two hosts, or the one given host for both environments."""
    return {environment: (server or host, port) for environment, host in APPLE.items()}
