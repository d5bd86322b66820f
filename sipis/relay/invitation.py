"""The provider's INVITE and every response to it.

Refuses to decide which: it writes what the bridge asks for, with the headers that each owes.
"""

from collections.abc import Iterable

from sipis.relay.headers import ALLOW
from sipis.relay.tools import Tools
from sipis.sip.dialog import Dialog
from sipis.sip.events import RequestReceived
from sipis.sip.message import Response, response_to


class Invitation:
    """An INVITE that waits for its final response; opens our side of the provider's dialog.

    Raises RemoteProtocolError (400 owed) when the INVITE cannot open a dialog.
    """

    def __init__(self, event: RequestReceived, tools: Tools) -> None:
        assert event.transaction is not None
        self.request = event.request
        self.transaction = event.transaction
        self.flow = event.flow
        self.came_at = event.at
        self._tools = tools
        self._contact = tools.contact(event.flow, tools.token())
        self.dialog = Dialog.uas(event.request, tools.token(), contact=self._contact)

    @property
    def offers(self) -> bool:
        """Whether the offer is in the INVITE; else the app makes it (RFC 3261 13.2.1)."""
        return bool(self.request.body)

    def respond(
        self,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        reason: str | None = None,
    ) -> None:
        """Send a response; 101 to 299 carry our Contact (RFC 3261 12.1.1)."""
        response = response_to(self.request, status, reason, to_tag=self.dialog.local_tag)
        if status > 100:
            self._introduce(response, status)
        for name, value in headers:
            response.headers.add(name, value)
        response.body = body
        self._tools.sip.respond(self.transaction, response)

    def _introduce(self, response: Response, status: int) -> None:
        if status < 300:
            response.headers.add("Contact", self._contact)
            response.headers.add("Allow", ALLOW)
        response.headers.add("Server", self._tools.user_agent)
