"""The four transaction machines of RFC 3261 17 as tables, with RFC 6026 and RFC 4320 worked in.

How to read a table:

1. A row says `(state, input): (actions, next state)`.
2. An input is something that the peer or the transaction user did, or a timer that expired.
3. An action is something to do now, or a timer to set. A timer replaces the one of its kind: each
   transaction has one that makes it send (`pace`) and one that ends its state (`limit`).
4. What has no row is ignored and changes nothing.
5. A transaction that enters `TERMINATED` is forgotten with its timers.

Two things go beyond the figures of the RFCs. The stack is also the part of the UA core that
repeats a 2xx until its ACK and repeats the ACK to a repeated 2xx, so that `ACCEPTED` of a server
has a pace, and `CONFIRMED` follows it once the ACK is there. And a CANCEL is an input: before a
provisional response it must wait (RFC 3261 9.1), which is the state `WITHDRAWN`.

Refuses to do anything: `machine`, `client` and `server` carry the actions out, and decide nothing.
"""

from enum import StrEnum
from typing import Final

from sipis.sip.timers import Timer


class State(StrEnum):
    """Where a transaction stands; the names are those of the RFC's figures, but for four."""

    NEW = "new"
    """Nothing was sent or told yet."""
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    WITHDRAWN = "withdrawn"
    """The INVITE is cancelled, but the CANCEL waits for a provisional response."""
    CANCELLING = "cancelling"
    """A CANCEL was sent or received; the final response is awaited or owed."""
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Input(StrEnum):
    """What happens to a transaction, besides timers."""

    START = "start"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    REFUSAL = "3xx-6xx"
    REPEATED = "response again"
    """A provisional response equal to the last one, or a 2xx to INVITE with a known To tag."""
    REQUEST = "request again"
    ACK = "ACK"
    CANCEL = "CANCEL"
    FLOW_LOST = "flow lost"


class Action(StrEnum):
    """What a transaction does, besides setting timers."""

    SEND = "send"
    """Send once more what was sent last: the request, its ACK or the response."""
    ANSWER = "send and keep the response"
    ACKNOWLEDGE = "send and keep the ACK"
    """The ACK to a refusal, which the client transaction makes itself (RFC 3261 17.1.1.3)."""
    REPEAT_ACK = "send the ACK of the 2xx again"
    SEND_TRYING = "send 100"
    SEND_CANCEL = "send CANCEL"
    NOTE_ANSWER = "remember the To tag"
    """Of a 2xx: repeats of it, or its ACK, are known by the tag."""
    HUSH = "stop the pace"
    RELAX = "stop the limit"
    TELL_REQUEST = "tell the request"
    TELL_RESPONSE = "tell the response"
    TELL_ACK = "tell the ACK"
    TELL_CANCEL = "tell the CANCEL"
    TELL_TIMEOUT = "tell the timeout"
    TELL_FAILURE = "tell the failure"
    TELL_ACK_MISSING = "tell that no ACK came"


Row = tuple[tuple[Action | Timer, ...], State]
Table = dict[tuple[State, Input | Timer], Row]

_S, _I, _A, _T = State, Input, Action, Timer

CLIENT_INVITE: Final[Table] = {
    (_S.NEW, _I.START): ((_A.SEND, _T.A, _T.B), _S.CALLING),
    # Nobody has answered: repeat, then give up.
    (_S.CALLING, _T.A): ((_A.SEND, _T.A), _S.CALLING),
    (_S.CALLING, _T.B): ((_A.TELL_TIMEOUT,), _S.TERMINATED),
    (_S.CALLING, _I.PROVISIONAL): ((_A.HUSH, _A.RELAX, _A.TELL_RESPONSE), _S.PROCEEDING),
    (_S.CALLING, _I.SUCCESS): (
        (_A.HUSH, _A.NOTE_ANSWER, _A.TELL_RESPONSE, _T.M),
        _S.ACCEPTED,
    ),
    (_S.CALLING, _I.REFUSAL): (
        (_A.HUSH, _A.ACKNOWLEDGE, _A.TELL_RESPONSE, _T.D),
        _S.COMPLETED,
    ),
    (_S.CALLING, _I.CANCEL): ((), _S.WITHDRAWN),
    (_S.CALLING, _I.FLOW_LOST): ((_A.TELL_FAILURE,), _S.TERMINATED),
    # The peer may not have the INVITE yet, so it is still repeated; the CANCEL must come after it.
    (_S.WITHDRAWN, _T.A): ((_A.SEND, _T.A), _S.WITHDRAWN),
    (_S.WITHDRAWN, _T.B): ((_A.TELL_TIMEOUT,), _S.TERMINATED),
    (_S.WITHDRAWN, _I.PROVISIONAL): (
        (_A.HUSH, _A.TELL_RESPONSE, _A.SEND_CANCEL, _T.CANCELLED),
        _S.CANCELLING,
    ),
    (_S.WITHDRAWN, _I.SUCCESS): (
        (_A.HUSH, _A.NOTE_ANSWER, _A.TELL_RESPONSE, _T.M),
        _S.ACCEPTED,
    ),
    (_S.WITHDRAWN, _I.REFUSAL): (
        (_A.HUSH, _A.ACKNOWLEDGE, _A.TELL_RESPONSE, _T.D),
        _S.COMPLETED,
    ),
    (_S.WITHDRAWN, _I.FLOW_LOST): ((_A.TELL_FAILURE,), _S.TERMINATED),
    # The phone may ring for as long as the transaction user likes: no timer.
    (_S.PROCEEDING, _I.PROVISIONAL): ((_A.TELL_RESPONSE,), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): ((_A.NOTE_ANSWER, _A.TELL_RESPONSE, _T.M), _S.ACCEPTED),
    (_S.PROCEEDING, _I.REFUSAL): ((_A.ACKNOWLEDGE, _A.TELL_RESPONSE, _T.D), _S.COMPLETED),
    (_S.PROCEEDING, _I.CANCEL): ((_A.SEND_CANCEL, _T.CANCELLED), _S.CANCELLING),
    (_S.PROCEEDING, _I.FLOW_LOST): ((_A.TELL_FAILURE,), _S.TERMINATED),
    # A 2xx may cross the CANCEL on the wire and then wins.
    (_S.CANCELLING, _I.PROVISIONAL): ((_A.TELL_RESPONSE,), _S.CANCELLING),
    (_S.CANCELLING, _I.SUCCESS): ((_A.NOTE_ANSWER, _A.TELL_RESPONSE, _T.M), _S.ACCEPTED),
    (_S.CANCELLING, _I.REFUSAL): ((_A.ACKNOWLEDGE, _A.TELL_RESPONSE, _T.D), _S.COMPLETED),
    (_S.CANCELLING, _T.CANCELLED): ((_A.TELL_TIMEOUT,), _S.TERMINATED),
    (_S.CANCELLING, _I.FLOW_LOST): ((_A.TELL_FAILURE,), _S.TERMINATED),
    # The refusal comes again when its ACK was lost.
    (_S.COMPLETED, _I.REFUSAL): ((_A.SEND,), _S.COMPLETED),
    (_S.COMPLETED, _T.D): ((), _S.TERMINATED),
    (_S.COMPLETED, _I.FLOW_LOST): ((), _S.TERMINATED),
    # Other branches of a fork may answer too.
    (_S.ACCEPTED, _I.SUCCESS): ((_A.NOTE_ANSWER, _A.TELL_RESPONSE), _S.ACCEPTED),
    (_S.ACCEPTED, _I.REPEATED): ((_A.REPEAT_ACK,), _S.ACCEPTED),
    (_S.ACCEPTED, _T.M): ((), _S.TERMINATED),
    (_S.ACCEPTED, _I.FLOW_LOST): ((), _S.TERMINATED),
}
"""RFC 3261 17.1.1, RFC 6026 8.4, RFC 3261 9.1."""

CLIENT_REQUEST: Final[Table] = {
    (_S.NEW, _I.START): ((_A.SEND, _T.E, _T.F), _S.TRYING),
    # Nobody has answered: repeat, then give up.
    (_S.TRYING, _T.E): ((_A.SEND, _T.E), _S.TRYING),
    (_S.TRYING, _T.F): ((_A.TELL_TIMEOUT,), _S.TERMINATED),
    (_S.TRYING, _I.PROVISIONAL): ((_A.TELL_RESPONSE,), _S.PROCEEDING),
    (_S.TRYING, _I.SUCCESS): ((_A.HUSH, _A.TELL_RESPONSE, _T.K), _S.COMPLETED),
    (_S.TRYING, _I.REFUSAL): ((_A.HUSH, _A.TELL_RESPONSE, _T.K), _S.COMPLETED),
    (_S.TRYING, _I.FLOW_LOST): ((_A.TELL_FAILURE,), _S.TERMINATED),
    # Repeating goes on, slower: only a repeated request brings a lost final response.
    (_S.PROCEEDING, _T.E): ((_A.SEND, _T.E_SLOW), _S.PROCEEDING),
    (_S.PROCEEDING, _T.E_SLOW): ((_A.SEND, _T.E_SLOW), _S.PROCEEDING),
    (_S.PROCEEDING, _T.F): ((_A.TELL_TIMEOUT,), _S.TERMINATED),
    (_S.PROCEEDING, _I.PROVISIONAL): ((_A.TELL_RESPONSE,), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): ((_A.HUSH, _A.TELL_RESPONSE, _T.K), _S.COMPLETED),
    (_S.PROCEEDING, _I.REFUSAL): ((_A.HUSH, _A.TELL_RESPONSE, _T.K), _S.COMPLETED),
    (_S.PROCEEDING, _I.FLOW_LOST): ((_A.TELL_FAILURE,), _S.TERMINATED),
    # Repeated final responses are absorbed.
    (_S.COMPLETED, _T.K): ((), _S.TERMINATED),
    (_S.COMPLETED, _I.FLOW_LOST): ((), _S.TERMINATED),
}
"""RFC 3261 17.1.2."""


def _untold(table: Table) -> Table:
    return {
        key: (tuple(action for action in actions if not action.startswith("tell")), state)
        for key, (actions, state) in table.items()
    }


CLIENT_CANCEL: Final[Table] = _untold(CLIENT_REQUEST)
"""A CANCEL is the stack's own affair: what becomes of it shows in the INVITE."""

SERVER_INVITE: Final[Table] = {
    (_S.NEW, _I.START): ((_A.TELL_REQUEST, _T.TRYING, _T.RINGING), _S.PROCEEDING),
    # The answer is owed.
    (_S.PROCEEDING, _I.REQUEST): ((_A.SEND,), _S.PROCEEDING),
    (_S.PROCEEDING, _T.TRYING): ((_A.SEND_TRYING,), _S.PROCEEDING),
    (_S.PROCEEDING, _I.PROVISIONAL): ((_A.HUSH, _A.ANSWER, _T.RINGING), _S.PROCEEDING),
    (_S.PROCEEDING, _I.CANCEL): ((_A.TELL_CANCEL,), _S.CANCELLING),
    (_S.PROCEEDING, _I.SUCCESS): (
        (_A.ANSWER, _A.NOTE_ANSWER, _T.REPEAT_2XX, _T.L),
        _S.ACCEPTED,
    ),
    (_S.PROCEEDING, _I.REFUSAL): ((_A.HUSH, _A.ANSWER, _T.G, _T.H), _S.COMPLETED),
    (_S.PROCEEDING, _T.RINGING): ((), _S.TERMINATED),
    # The answer is still owed, and a 2xx of the transaction user may cross the CANCEL.
    (_S.CANCELLING, _I.REQUEST): ((_A.SEND,), _S.CANCELLING),
    (_S.CANCELLING, _T.TRYING): ((_A.SEND_TRYING,), _S.CANCELLING),
    (_S.CANCELLING, _I.PROVISIONAL): ((_A.HUSH, _A.ANSWER, _T.RINGING), _S.CANCELLING),
    (_S.CANCELLING, _I.SUCCESS): (
        (_A.ANSWER, _A.NOTE_ANSWER, _T.REPEAT_2XX, _T.L),
        _S.ACCEPTED,
    ),
    (_S.CANCELLING, _I.REFUSAL): ((_A.HUSH, _A.ANSWER, _T.G, _T.H), _S.COMPLETED),
    (_S.CANCELLING, _T.RINGING): ((), _S.TERMINATED),
    # The refusal is repeated until its ACK.
    (_S.COMPLETED, _I.REQUEST): ((_A.SEND,), _S.COMPLETED),
    (_S.COMPLETED, _T.G): ((_A.SEND, _T.G), _S.COMPLETED),
    (_S.COMPLETED, _I.ACK): ((_A.HUSH, _T.I), _S.CONFIRMED),
    (_S.COMPLETED, _T.H): ((_A.TELL_ACK_MISSING,), _S.TERMINATED),
    # The 2xx is repeated until its ACK; repeated INVITEs do not hurry it.
    (_S.ACCEPTED, _T.REPEAT_2XX): ((_A.SEND, _T.REPEAT_2XX), _S.ACCEPTED),
    (_S.ACCEPTED, _I.ACK): ((_A.HUSH, _A.TELL_ACK), _S.CONFIRMED),
    (_S.ACCEPTED, _T.L): ((_A.TELL_ACK_MISSING,), _S.TERMINATED),
    # Repeated INVITEs and ACKs are absorbed.
    (_S.CONFIRMED, _T.I): ((), _S.TERMINATED),
    (_S.CONFIRMED, _T.L): ((), _S.TERMINATED),
}
"""RFC 3261 17.2.1, RFC 6026 7.1, RFC 3261 13.3.1.4; a lost flow changes nothing (RFC 6026 6)."""

SERVER_REQUEST: Final[Table] = {
    (_S.NEW, _I.START): ((_A.TELL_REQUEST, _T.LATE_TRYING, _T.UNANSWERED), _S.TRYING),
    # The answer is owed, and a repeated request has nothing to bring again.
    (_S.TRYING, _T.LATE_TRYING): ((_A.SEND_TRYING,), _S.PROCEEDING),
    (_S.TRYING, _I.SUCCESS): ((_A.HUSH, _A.ANSWER, _T.J), _S.COMPLETED),
    (_S.TRYING, _I.REFUSAL): ((_A.HUSH, _A.ANSWER, _T.J), _S.COMPLETED),
    (_S.TRYING, _T.UNANSWERED): ((), _S.TERMINATED),
    # The answer is late, and the peer was told that it will come.
    (_S.PROCEEDING, _I.REQUEST): ((_A.SEND,), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): ((_A.ANSWER, _T.J), _S.COMPLETED),
    (_S.PROCEEDING, _I.REFUSAL): ((_A.ANSWER, _T.J), _S.COMPLETED),
    (_S.PROCEEDING, _T.UNANSWERED): ((), _S.TERMINATED),
    # The answer is sent again for each repeated request.
    (_S.COMPLETED, _I.REQUEST): ((_A.SEND,), _S.COMPLETED),
    (_S.COMPLETED, _T.J): ((), _S.TERMINATED),
}
"""RFC 3261 17.2.2, RFC 4320 4: the only provisional response is the stack's own late 100."""
