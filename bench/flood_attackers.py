"""Attackers of both SIP doors and of the API, all at once, as a process of its own.

    python -m bench.flood_attackers FOLDER

Reads FOLDER/target.json, and attacks until SIGTERM; then writes FOLDER/counts.json: how many
attacks of each kind were carried out, and the bytes that went out and came back over UDP. They come
from many addresses of 127.0.0.0/8, none of them 127.0.0.1: that is the provider's and the phones'.
"""

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench.flood_datagrams import Datagrams
from bench.flood_streams import Streams
from bench.flood_words import Words

TARGET, COUNTS = "target.json", "counts.json"
SEED: Final = 20_260_901


@dataclass(frozen=True)
class Target:
    """The ports of a server on 127.0.0.1: SIP over UDP and TCP on one number; and how fierce.

    `strength` multiplies the rate of every attack; at 1 there are about a thousand a second.
    """

    provider: int
    app: int
    app_tls: int
    api: int
    strength: float = 1.0

    def write(self, folder: Path) -> None:
        """Put it where the attackers look for it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TARGET).write_text(json.dumps(asdict(self)))


async def attack(target: Target) -> Counter[str]:
    """Attack until SIGTERM; returns what was done."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    counts, chance = Counter[str](), random.Random(SEED)
    words = Words(chance)
    with Datagrams(words, chance, counts) as datagrams:
        streams = Streams(words, chance, counts)
        attacks = [
            *datagrams.attacks(target.provider, target.app),
            *streams.attacks(target.provider, target.app, target.app_tls, target.api),
        ]
        tasks = [asyncio.create_task(one.keep_up(target.strength)) for one in attacks]
        await stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return counts


def main(folder: Path) -> None:
    """Attack what the folder names."""
    target = Target(**json.loads((folder / TARGET).read_text()))
    counts = uvloop.run(attack(target))
    (folder / COUNTS).write_text(json.dumps(counts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
