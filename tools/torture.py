"""Kills a working lifecycle again and again and checks what is left (D14); or cuts its power (D15).

    python -m tools.torture --rounds 300
    python -m tools.torture --rounds 100 --power-loss

Each round forks a child that enables, refreshes and deletes instances while the epoch rolls. It is
killed with SIGKILL after a random number of words, or kills itself right before or after a random
write, sync, commit or checkpoint. Then the files are opened: every creation that was acknowledged
is there and opens, no acknowledged deletion has returned, no row lacks its key and no key its row.
A power loss is simulated by going on with each file as it was when it was last synced; that needs
a C compiler.

Refuses to go on after a finding: the folder is left as it is, and the seed is printed.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sipis.clock import ManualClock, SystemClock
from sipis.config import KeysSettings
from sipis.lifecycle import Enabled
from sipis.observe.metrics import Metrics
from sipis.store import lookup, receipts, runner
from sipis.vault.roller import Roller
from tests.support.lifecycle import House, build, build_on, order, running, settings
from tests.support.vault import ACCOUNT, open_vault

POINTS: Final = ("pwrite", "fdatasync", "commit", "checkpoint")
LONGEST: Final = 20.0
"""Seconds after which a child that does not come to its point is killed."""

SHIM: Final = Path(__file__).with_name("powerloss.c")


@dataclass
class Told:
    """The last word on each instance; over all rounds."""

    words: dict[str, str] = field(default_factory=dict)
    commitments: dict[str, bytes] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        """One line of a child, unless it was cut off."""
        parts = line.split()
        if len(parts) == 3 and len(parts[2]) == 64:
            self.words[parts[1]] = parts[0]
            self.commitments[parts[1]] = bytes.fromhex(parts[2])

    def those(self, word: str) -> set[str]:
        """The instances whose last word this is."""
        return {instance for instance, last in self.words.items() if last == word}


class Suicide:
    """Ends the process right before or after the nth passing of a point."""

    def __init__(self, point: str, nth: int, *, after: bool) -> None:
        self._left, self._after = nth, after
        patches: dict[str, tuple[Any, str]] = {
            "pwrite": (os, "pwrite"),
            "fdatasync": (os, "fdatasync"),
            "commit": (runner, "run_batch"),
            "checkpoint": (runner, "truncate_logs"),
        }
        owner, name = patches[point]
        setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return passing


async def work(home: Path, say: Callable[[str, Enabled], None]) -> None:
    """What a child does until it is killed."""
    clock, keys = SystemClock(), KeysSettings(roll_after_delete=0.05)
    store, vault = await runner.Runner.open(home, clock), open_vault(home, inline=False)
    lifecycle, _, _ = build_on(store, vault, clock, settings(home, require_verification=False))
    roller = Roller(vault, keys, clock=clock, metrics=Metrics())
    await lifecycle.recover()

    async def live() -> None:
        kept: list[Enabled] = []
        while True:
            account = replace(ACCOUNT, aor=f"sip:{os.urandom(6).hex()}@example.org")
            enabled = await lifecycle.enable(order(account=account, targets=()))
            assert isinstance(enabled, Enabled)
            say("enabled", enabled)
            kept.append(enabled)
            if len(kept) > 2:
                await lifecycle.refresh(kept[-1].row, None, ())
                ending = kept.pop(0)
                say("deleting", ending)
                await lifecycle.disable(ending.row.id, ending.secret)
                say("deleted", ending)

    async with asyncio.TaskGroup() as group:
        group.create_task(lifecycle.run())
        group.create_task(roller.run())
        await asyncio.sleep(0)
        for _ in range(4):
            group.create_task(live())


def child(home: Path, synced: Path | None, pipe: int, suicide: Callable[[], object]) -> None:
    """The forked process; it does not return."""
    if synced is not None:
        os.environ |= {"TORTURE_HOME": str(home), "TORTURE_SYNCED": str(synced)}

    def say(word: str, enabled: Enabled) -> None:
        os.write(pipe, f"{word} {enabled.row.id} {enabled.opening.commitment.hex()}\n".encode())

    suicide()
    try:
        asyncio.run(work(home, say))
    finally:
        os._exit(1)


def let_live_and_die(
    home: Path, chance: random.Random, told: Told, synced: Path | None = None
) -> str:
    """Fork a child and see it die; returns where."""
    words, suicide, where = chance.randrange(1, 80), _nothing, "at random"
    if chance.random() < 0.7:
        point, nth, after = chance.choice(POINTS), chance.randrange(1, 60), chance.random() < 0.5
        words, where = 1 << 30, f"{'after' if after else 'before'} {point} {nth}"

        def suicide() -> object:
            return Suicide(point, nth, after=after)

    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(mine)
        child(home, synced, its, suicide)
    os.close(its)
    _listen(mine, pid, words, told)
    return where


def _nothing() -> object:
    return None


def _listen(pipe: int, pid: int, words: int, told: Told) -> None:
    """Hear a child until it ends, and end it after so many words or when it lives too long."""
    end, heard = time.monotonic() + LONGEST, 0
    with os.fdopen(pipe) as lines:
        for line in lines:
            told.hear(line)
            heard += 1
            if heard == words or time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError("the child ended by itself")


async def check(home: Path, told: Told) -> list[str]:
    """Open what is left, as a start does; returns what is wrong."""
    house = build(home, ManualClock(time.time()), settings(home))
    await house.lifecycle.recover()
    async with running(house):
        await house.clock.advance(5)
        await house.vault.roll()
        return [*await _wrong_rows(house, told), *await _wrong_receipts(house, told)]


async def _wrong_rows(house: House, told: Told) -> list[str]:
    rows = await house.store.read(lookup.page, house.clock.wall(), limit=100_000)
    alive = {str(row.id) for row in rows}
    wrong = [f"lost creation {it}" for it in told.those("enabled") - alive]
    wrong += [f"returned deletion {it}" for it in told.those("deleted") & alive]
    for row in rows:
        sealed = await house.store.read(lookup.sealed, row.n, house.clock.wall())
        if sealed is None or not house.vault.open_account(sealed).account.aor:
            wrong.append(f"row {row.id} does not open")
    keys = sum(len(house.vault._slots.held(it)) for it in house.vault.segments)  # noqa: SLF001
    if keys != len(rows):
        wrong.append(f"{keys} keys for {len(rows)} rows")
    if await house.store.read(_integrity) != "ok":
        wrong.append("the database is damaged")
    return wrong


async def _wrong_receipts(house: House, told: Told) -> list[str]:
    names = {it: told.commitments[it] for it in told.those("deleted")}
    missing = [
        it for it, name in names.items() if await house.store.read(receipts.get, name) is None
    ]
    return [f"no receipt of {it}" for it in missing]


def _integrity(conn: sqlite3.Connection) -> str:
    return str(conn.execute("PRAGMA integrity_check").fetchone()[0])


def torture(home: Path, rounds: int, seed: int, *, power_loss: bool = False) -> list[str]:
    """So many rounds on one folder; returns the first findings, none when all is well."""
    chance, told = random.Random(seed), Told()  # noqa: S311 - a seed makes a finding repeatable
    asyncio.run(check(home, told))  # makes the files
    for number in range(rounds):
        synced = _copy_of(home) if power_loss else None
        where = let_live_and_die(home, chance, told, synced)
        if synced is not None:
            shutil.rmtree(home)
            synced.rename(home)
        wrong = asyncio.run(check(home, told))
        if wrong:
            return [f"round {number}, killed {where}, seed {seed}, files in {home}", *wrong]
    print(f"{len(told.words)} instances, {len(told.those('deleted'))} deleted")  # noqa: T201
    return []


def _copy_of(home: Path) -> Path:
    """The files as they are synced before a round."""
    copy = home.with_name("synced")
    shutil.copytree(home, copy)
    return copy


def with_shim(folder: Path) -> dict[str, str]:
    """The environment in which synced files are kept; needs a C compiler."""
    library = folder / "powerloss.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("a power loss needs a C compiler (cc)")
    command: list[str | Path] = [compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"]
    subprocess.run(command, check=True)  # noqa: S603 - the words are ours
    return {**os.environ, "LD_PRELOAD": str(library)}


def main() -> None:
    """Read the command line and torture."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options.add_argument("--power-loss", action="store_true")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    if chosen.power_loss and "LD_PRELOAD" not in os.environ:
        again = [sys.executable, "-m", "tools.torture", *sys.argv[1:], "--seed", str(chosen.seed)]
        done = subprocess.run(again, env=with_shim(folder), check=False)  # noqa: S603 - as above
        raise SystemExit(done.returncode)
    wrong = torture(folder / "home", chosen.rounds, chosen.seed, power_loss=chosen.power_loss)
    sys.stdout.write("\n".join(wrong) + "\n" if wrong else f"{chosen.rounds} rounds: all is well\n")
    if wrong:
        raise SystemExit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
