"""Resident memory per sleeping phone, and a restart with all of them.

The phones are registered over UDP and nothing is due. What counts is the anonymous memory of the
server with the phones less that of a server without any. Kamailio's figure is its shared memory per
remote registration, which it reports itself.

    python -m bench.memory [PHONES]
"""

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cpu import private_bytes
from bench.peers import DOMAIN, Uac
from bench.phones import Phone, put_to_sleep
from bench.programs import NotHere
from bench.report import Figure, Target
from bench.server import Server

PHONES, QUICK_PHONES, PEER_PHONES = 100_000, 20_000, 5_000
"""Fewer than PHONES have no target: caches of a fixed size would be counted on them."""
HOUR = 3600.0
SETTLED = 5.0
"""Seconds after which a started server has done what a start brings."""


def run(*, quick: bool = False, phones: int = 0) -> Iterator[Figure]:
    """Bytes per phone, beside Kamailio; seconds until ready."""
    count = phones or (QUICK_PHONES if quick else PHONES)
    with tempfile.TemporaryDirectory() as name:
        empty, bare = _measure(Path(name) / "none", 0)
        full, ready = _measure(Path(name) / "many", count)
        peer = _kamailio(Path(name) / "uac")
    yield Figure(
        f"memory: resident per sleeping phone, {count:,} phones", (full - empty) / count, "B",
        peer, "Kamailio uac", Target(most=200.0) if count >= PHONES else None,
    )  # fmt: skip
    yield Figure(
        f"memory: the whole server with {count:,} phones", full / 2**20, "MiB",
        target=Target(most=512.0),
    )  # fmt: skip
    yield Figure(
        f"restart: until ready with {count:,} phones", ready, "s", bare, "without phones",
        Target(most=3.0),
    )  # fmt: skip


def _measure(folder: Path, phones: int) -> tuple[int, float]:
    """Anonymous bytes of a server with as many phones, and the seconds that its start took."""
    with Server(folder) as server:
        sleeping = [Phone(f"user{i:07}", DOMAIN, "secret") for i in range(phones)]
        put_to_sleep(server.data, sleeping, bound=HOUR)
        ready = server.start()
        time.sleep(SETTLED)
        return private_bytes(server.pid), ready


def _kamailio(folder: Path) -> float | None:
    """Shared memory that Kamailio needs for each registration, without those under way."""
    try:
        one, many = (_shared(folder / str(count), count) for count in (1, PEER_PHONES))
    except NotHere:
        return None
    return (many - one) / (PEER_PHONES - 1)


def _shared(folder: Path, count: int) -> int:
    users = [f"user{number:05}" for number in range(count)]
    uac = Uac(folder, users, registrar=9, expires=3600)
    time.sleep(SETTLED)
    try:
        found = re.search(r"real_used: (\d+)", uac.ask("core.shmmem"))
        return int(found[1]) if found else 0
    finally:
        uac.stop()


if __name__ == "__main__":
    for figure in run(phones=int(sys.argv[1]) if len(sys.argv) > 1 else 0):
        print(figure.line(), flush=True)
