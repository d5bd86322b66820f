"""kill -9 at any moment: what was acknowledged holds, and nothing is half done."""

import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipis.store import lookup, slots
from sipis.store.runner import open_migrated
from tests.support.store import NOW

ROOT = Path(__file__).parents[3]

CHILD = """
import asyncio, sys
from pathlib import Path
from sipis.clock import SystemClock
from sipis.model import DeletionReason
from sipis.store import erasure, instances
from sipis.store.erasure import Erasure
from sipis.store.receipts import Receipt
from sipis.store.runner import Runner
from tests.support.store import DAY, NOW, new_instance

def told(word, n):
    print(word, n, flush=True)

async def live(store, number):
    new = new_instance(number)
    n = await store.write(instances.insert, new)
    told("created", n)
    if number % 2:
        told("erasing", n)
        receipt = Receipt(new.commitment, DeletionReason.DISABLED, NOW)
        await store.write(erasure.erase, [Erasure(n, receipt)], tombstone_ttl=DAY)
        await store.checkpoint()
        told("erased", n)

async def main():
    store = await Runner.open(Path(sys.argv[1]), SystemClock())
    for first in range(int(sys.argv[2]), 1 << 30, 8):
        await asyncio.gather(*(live(store, number) for number in range(first, first + 8)))

asyncio.run(main())
"""


@dataclass
class Told:
    """What the child said before it died."""

    created: set[int] = field(default_factory=set)
    erasing: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)

    def hear(self, line: str) -> None:
        word, _, n = line.partition(" ")
        getattr(self, word).add(int(n))


def run_and_kill(directory: Path, first: int, lines: int, told: Told) -> None:
    """Let the child work until it has said so many things, then kill it."""
    command = [sys.executable, "-c", CHILD, str(directory), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for _ in range(lines):
            told.hear(child.stdout.readline())
        child.kill()
        for line in child.stdout:
            if line.endswith("\n"):
                told.hear(line)


@pytest.mark.parametrize("seed", range(2))
def test_acknowledged_creations_and_erasures_survive_a_kill(directory: Path, seed: int) -> None:
    chance, told = random.Random(seed), Told()
    for first in (0, 100_000):
        run_and_kill(directory, first, chance.randint(1, 60), told)
    conn = open_migrated(directory)
    living = {row.n for row in lookup.page(conn, NOW, limit=100_000)}
    assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert told.created - told.erasing <= living
    assert not told.erased & living
    for n in living:
        assert lookup.sealed(conn, n, NOW) is not None
    halves = conn.execute("SELECT count(*) FROM records_512 WHERE item % 8 < 2").fetchone()[0]
    assert halves == 2 * len(living)
    assert len(slots.owed(conn)) >= len(told.erased)
    conn.close()
