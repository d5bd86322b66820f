"""The world's FCM as a process of its own that notes when each push arrived.

    python -m bench.push_service FOLDER

Writes the settings that point at it to FOLDER/settings.json, and on SIGTERM the arrivals to
FOLDER/arrivals.json: monotonic seconds by push token. That clock is the same for all processes.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import uvloop

from sipis.clock import SystemClock
from sipis.world.fcm import Fcm, ReceivedMessage
from sipis.world.inbox import Inbox
from sipis.world.tls import ThrowawayCa

SETTINGS, ARRIVALS = "settings.json", "arrivals.json"


class Stamped(Inbox[ReceivedMessage]):
    """An inbox that keeps the first arrival for each token, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals: dict[str, float] = {}

    def put(self, item: ReceivedMessage) -> None:
        """Note the time."""
        self.arrivals.setdefault(item.target, time.monotonic())


async def serve(folder: Path) -> None:
    """Serve until SIGTERM."""
    authority, stopped = ThrowawayCa(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with Fcm(authority, clock=SystemClock()) as fcm:
        fcm.pushes = inbox = Stamped()
        settings = {
            "service_account_file": str(fcm.new_key().write(folder)),
            "base_url": fcm.base_url,
            "ca_file": str(authority.write_root(folder)),
        }
        (folder / SETTINGS).write_text(json.dumps(settings))
        await stopped.wait()
    (folder / ARRIVALS).write_text(json.dumps(inbox.arrivals))


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
