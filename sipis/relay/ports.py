"""What the relay needs of others: the transport below, and the rooms that it may not import.

Refuses implementations: the composition root hands them in.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

from sipis.model import InstanceId
from sipis.push.provider import AddressedTarget, Notification
from sipis.sip.events import RequestFailed, RequestTimedOut, ResponseReceived
from sipis.sip.flow import Door, Flow
from sipis.sip.message import Request, Response
from sipis.sip.uri import SipUri
from sipis.transport.targets import Target

Outcome = ResponseReceived | RequestTimedOut | RequestFailed
OnOutcome = Callable[[Outcome], None]


class Sip(Protocol):
    """The endpoint: one SIP element with its sockets."""

    def send(self, request: Request, flow: Flow, on_response: OnOutcome) -> str:
        """Send a request of ours; every outcome goes to the handler; returns the transaction."""

    def ack(self, ack: Request, flow: Flow, invite: str) -> None:
        """Acknowledge the 2xx to the INVITE of that transaction."""

    def cancel(self, transaction: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Take an INVITE of ours back."""

    def respond(self, transaction: str, response: Response) -> None:
        """Answer a request."""

    def drop(self, transaction: str) -> None:
        """Forget a request without an answer."""

    def take_again(self, data: bytes, flow: Flow) -> None:
        """Take in a request that an earlier process had not answered when it ended."""

    def abandon(self, transaction: str) -> None:
        """Forget a request of ours."""

    def contact_address(self, flow: Flow) -> tuple[str, int]:
        """Host and port at which the peer of the flow reaches us."""

    def is_open(self, flow: Flow) -> bool:
        """Whether something sent over the flow can still arrive."""

    def last_received(self, flow: Flow) -> float:
        """When something last came over the flow (monotonic seconds)."""

    def hold(self, flow: Flow, seconds: float) -> None:
        """Keep a flow open and alive for that long: a binding depends on it."""

    async def flow_to(self, target: Target, *, door: Door = Door.PROVIDER) -> Flow:
        """A flow to the target; TransportError where none can be had."""


class Names(Protocol):
    """The resolver (RFC 3263)."""

    async def resolve(self, uri: SipUri) -> list[Target]:
        """The targets of a URI in the order of trial, at least one."""


class Report(Protocol):
    """What became of a notification."""

    @property
    def accepted(self) -> int:
        """How many targets the push services took it for."""

    @property
    def doubtful(self) -> int:
        """For how many more they may have taken it: no answer came."""


class Announcer(Protocol):
    """The push dispatcher."""

    async def announce(
        self,
        notification: Notification,
        targets: Sequence[AddressedTarget],
        on_accepted: Callable[[], None] | None = None,
    ) -> Report:
        """Push to all targets of one instance by the notification's deadline; never raises.

        `on_accepted` is called once, as soon as a push service has taken the first push.
        """


class Sources(Protocol):
    """The registrant's knowledge of where each provider's requests come from."""

    def is_known(self, registrar: str, host: str) -> bool:
        """Whether this IP literal may speak for the registrar."""

    def registrars_of(self, host: str) -> Sequence[str]:
        """The registrars that this IP literal may speak for."""


class Proofs(Protocol):
    """Lifecycle, as far as the relay reports to it."""

    async def app_registered(self, n: int, instance: InstanceId) -> None:
        """The app of an instance has shown itself: its push targets are proven."""


Spawn = Callable[[str, Coroutine[object, object, None]], bool]
"""Run a job beside everything else; False when there are too many."""
