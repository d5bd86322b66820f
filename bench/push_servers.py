"""The servers of bench/push.py: they write what clients need, and serve until stdin ends."""

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from sipis.clock import SystemClock
from sipis.world.apns import Apns
from sipis.world.behaviour import EVERYBODY, Reply
from sipis.world.fcm import Fcm
from sipis.world.operator_keys import AppleKey
from sipis.world.tls import ThrowawayCa


async def serve(directory: Path) -> None:
    """Serve until the parent closes our standard input."""
    ca, clock = ThrowawayCa(), SystemClock()
    async with Apns(ca, clock=clock) as apns, Fcm(ca, clock=clock) as fcm:
        apns.recording = fcm.recording = False
        apns.script.always(EVERYBODY, Reply())  # aioapns breaks rules that this APNs would check
        ca.write_root(directory)
        AppleKey().write(directory)
        fcm.new_key().write(directory)
        ports = {"apns": apns.port, "fcm": fcm.port}
        (directory / "ports.json").write_text(json.dumps(ports))
        print("listening", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
