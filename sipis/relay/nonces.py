"""Nonces of the relay's own challenges: made and checked without remembering any.

A nonce is its time, a serial number and a keyed hash over both and the flow, so one seen on another
flow is worth nothing. Counts (`nc`, RFC 7616 3.4) are remembered while their nonce lives, for the
latest nonces only; where the count was forgotten, an app is challenged once more.
Refuses clocks and randomness: time and key are arguments.
"""

import hmac
from collections import OrderedDict
from enum import Enum, auto
from hashlib import sha256
from typing import Final

from sipis.sip.flow import Flow
from sipis.sip.headers import Credentials

LIFETIME: Final = 300.0
MOST_COUNTED: Final = 100_000
_TIME_DIGITS: Final = 12
_SERIAL_DIGITS: Final = 8
_HEAD_DIGITS: Final = _TIME_DIGITS + _SERIAL_DIGITS
_PROOF_DIGITS: Final = 32


class Verdict(Enum):
    """What a nonce in credentials is worth."""

    FRESH = auto()
    STALE = auto()
    """Once ours, but too old or used with this count before."""
    FOREIGN = auto()
    """Never ours, or another flow's."""


class Nonces:
    """The nonces of one process."""

    def __init__(self, key: bytes, *, most_counted: int = MOST_COUNTED) -> None:
        self._key = key
        self._most = most_counted
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._serial = 0

    def new(self, flow: Flow, now: float) -> str:
        """A nonce for this flow; `now` is monotonic seconds."""
        self._serial = (self._serial + 1) % 16**_SERIAL_DIGITS
        head = f"{int(now * 1000):0{_TIME_DIGITS}x}{self._serial:0{_SERIAL_DIGITS}x}"
        return head + self._proof(head, flow)

    def judge(self, credentials: Credentials, flow: Flow, now: float) -> Verdict:
        """Whether credentials were made for a live nonce of this flow, and for the first time."""
        nonce = credentials.params.get("nonce") or ""
        head = nonce[:_HEAD_DIGITS]
        if not hmac.compare_digest(nonce.encode(), (head + self._proof(head, flow)).encode()):
            return Verdict.FOREIGN
        if _is_past(nonce, now):
            return Verdict.STALE
        self._forget_past(now)
        return self._count(nonce, credentials.params.get("nc"))

    def _forget_past(self, now: float) -> None:
        while self._counts and _is_past(next(iter(self._counts)), now):
            self._counts.popitem(last=False)

    def _count(self, nonce: str, written: str | None) -> Verdict:
        count = _hex(written)
        if count <= self._counts.get(nonce, 0):
            return Verdict.STALE
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return Verdict.FRESH

    def _proof(self, head: str, flow: Flow) -> str:
        text = f"{head}|{flow.id}|{flow.transport}|{flow.remote[0]}|{flow.remote[1]}"
        return hmac.digest(self._key, text.encode(), sha256).hex()[:_PROOF_DIGITS]


def _is_past(nonce: str, now: float) -> bool:
    return now - int(nonce[:_TIME_DIGITS], 16) / 1000 > LIFETIME


def _hex(written: str | None) -> int:
    """The count; 1 where a client without qop sends none, 0 where it is no count at all."""
    if written is None:
        return 1
    try:
        return int(written, 16) if 0 < len(written) <= 8 else 0
    except ValueError:
        return 0
