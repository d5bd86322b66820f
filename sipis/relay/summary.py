"""Message waiting, read from the body of a NOTIFY (RFC 3842 section 5).

Refuses everything but new voice messages: no other count is shown to anybody.
"""

import re
from typing import Final

LONGEST: Final = 16 * 1024
MOST: Final = 2**32 - 1
_VOICE: Final = re.compile(
    rb"^[ \t]*voice-message[ \t]*:[ \t]*(\d{1,10})[ \t]*/[ \t]*\d{1,10}", re.I | re.M
)
_STATUS: Final = re.compile(rb"^[ \t]*messages-waiting[ \t]*:[ \t]*(yes|no)\b", re.I | re.M)


def new_voice_messages(body: bytes) -> int | None:
    """How many new voice messages wait; None when the body says nothing about it.

    A summary that only says `Messages-Waiting: yes` counts as one, `no` as none.
    """
    body = body[:LONGEST]
    counted = _VOICE.search(body)
    if counted is not None:
        return min(int(counted[1]), MOST)
    status = _STATUS.search(body)
    return None if status is None else int(status[1].lower() == b"yes")
