"""What lifecycle needs of the registrant, the push dispatcher and the network policy.

Refuses implementations: the composition root hands them in.
"""

from collections.abc import Sequence
from typing import Protocol

from sipis.audit import Receipt
from sipis.push.provider import AddressedTarget, Notification
from sipis.registrant.farewell import Farewell


class Registrations(Protocol):
    """The registrant."""

    def wake(self, n: int) -> None:
        """The registration of this instance is due now."""

    def abort(self, n: int) -> None:
        """Forget a REGISTER of this instance that is under way."""

    async def withdraw(self, n: int) -> None:
        """Remove the binding of an instance that lives on; its app registers itself."""

    async def prepare_farewells(self, ns: Sequence[int]) -> list[Farewell]:
        """Stop all REGISTERs of these instances for good and write the last ones.

        To be called while their keys live, for rows that may have expired.
        """

    def let_go(self, ns: Sequence[int]) -> None:
        """These instances live on after all: their REGISTERs may go out again."""

    async def prepare_move(self, n: int) -> list[Farewell]:
        """Write the last REGISTER of the account that this instance is about to change.

        To be called while the old account can be opened; nothing else is sent for it.
        """

    def send_farewells(self, farewells: Sequence[Farewell]) -> None:
        """Send what was prepared; returns at once, and keeps nothing for more than ten seconds."""


class Report(Protocol):
    """What became of a notification."""

    @property
    def accepted(self) -> int:
        """How many targets the push services took it for."""


class Announcer(Protocol):
    """The push dispatcher."""

    async def announce(
        self, notification: Notification, targets: Sequence[AddressedTarget]
    ) -> Report:
        """Push to all targets of one instance by the notification's deadline; never raises."""


class HostPolicy(Protocol):
    """Where this server may send SIP."""

    def check(self, host: str, port: int) -> None:
        """Pass an IP literal that may be sent to; RefusedAddress for all others."""

    def check_name(self, host: str) -> None:
        """Pass a host as an app may write it; FieldError for all others."""


class Notary(Protocol):
    """Who adds the proof to a receipt."""

    async def vouch(self, receipt: Receipt) -> Receipt:
        """The receipt with its proof, or with what there is of it so far; never raises."""


class NoNotary:
    """Nobody signs: receipts stay as they are."""

    async def vouch(self, receipt: Receipt) -> Receipt:
        """The receipt, unsigned."""
        return receipt
