"""Forks: one INVITE of ours may be answered by several callees, each with a dialog of its own.

Refuses to choose between them: whoever sent the INVITE keeps one and ends the others.
"""

from typing import Final

from sipis.sip.dialog import Dialog
from sipis.sip.message import Request, Response

MAX_DIALOGS: Final = 32
"""Dialogs that one INVITE may open; more callees than that answer only to flood us."""


class Forks:
    """The dialogs that one INVITE of ours opens, one for each To tag (RFC 3261 13.2.2.4)."""

    def __init__(self, invite: Request, *, secure: bool = False) -> None:
        self._invite = invite
        self._secure = secure
        self.dialogs: dict[str | None, Dialog] = {}

    def hear(self, response: Response) -> Dialog | None:
        """The dialog that a response opens, continues or confirms; None where it has none.

        A final response of 300-699 ends all early dialogs. Raises RemoteProtocolError on a broken
        header.
        """
        if response.status >= 300:
            for opened in self.dialogs.values():
                opened.refuse()
            return None
        tag = response.to_tag
        if response.status == 100 or (tag is None and response.status < 200):
            return None
        dialog = self.dialogs.get(tag)
        if dialog is None:
            return self._open(tag, response)
        if response.status >= 200:
            dialog.confirm(response)
        return dialog

    def _open(self, tag: str | None, response: Response) -> Dialog | None:
        if len(self.dialogs) >= MAX_DIALOGS:
            return None
        self.dialogs[tag] = dialog = Dialog.uac(self._invite, response, secure=self._secure)
        return dialog
