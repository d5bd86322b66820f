"""One incoming call as one machine: events of both legs in, commands out, no I/O.

Time is a command (`StartTimer`) and comes back as an event, so that the machine knows no clock.
Refuses SIP messages: who has the messages is the bridge, which carries the commands out.
"""

from sipis.relay.call.commands import (
    AbandonApp,
    AckApp,
    Answer,
    ByeApp,
    ByeProvider,
    CancelApp,
    Command,
    InviteApp,
    Push,
    Record,
    Release,
    Respond,
    StartTimer,
    StopPush,
    StopTimer,
    TellEnd,
)
from sipis.relay.call.events import ELAPSED, Event, Kind, Timer
from sipis.relay.call.facts import Facts, Policy, Pushed, PushStatus
from sipis.relay.call.machine import Call
from sipis.relay.call.table import TABLE, State

__all__ = [
    "ELAPSED",
    "TABLE",
    "AbandonApp",
    "AckApp",
    "Answer",
    "ByeApp",
    "ByeProvider",
    "Call",
    "CancelApp",
    "Command",
    "Event",
    "Facts",
    "InviteApp",
    "Kind",
    "Policy",
    "Push",
    "PushStatus",
    "Pushed",
    "Record",
    "Release",
    "Respond",
    "StartTimer",
    "State",
    "StopPush",
    "StopTimer",
    "TellEnd",
    "Timer",
]
