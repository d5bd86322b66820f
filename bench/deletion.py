"""Deletions acknowledged over the API beside refreshes, and thousands of expiries at one instant.

    python -m bench deletion
    python -m bench.deletion --instances 10000 100000 --expiries 10000

An acknowledged deletion has destroyed the key and erased the row, both on disk; so the time is
shown beside raw fdatasync calls on the same disk in the same seconds.
"""

import argparse
import http.client
import json
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bench.control import fdatasync_times
from bench.peers import DOMAIN, PASSWORD, Registrar
from bench.phones import SECRET, Phone, put_to_sleep
from bench.programs import wait_until
from bench.report import Figure, Target, quantile
from bench.server import Server
from sipis.store.connection import MAIN_FILE

SIZES, SIZES_QUICK = (10_000, 100_000), (4_000,)
ONE_BY_ONE, AT_ONCE = 300, 200
EXPIRIES, QUICK_EXPIRIES = 10_000, 2_000
BOUND = 40.0
"""Seconds for which the phones are registered; all are refreshed while they are deleted."""
BESIDE = {'providers."127.0.0.1"': {"register_per_second": 400.0, "registers_in_flight": 128}}
LEAD = 10.0
"""Seconds between filling the folder and the common expiry: time enough to start."""
FILLING = 0.0015
"""Seconds that each phone may take until it sleeps."""
BEGUN = 500
"""Refreshes that have succeeded when the first is deleted."""
CELL = 128
QUIET = 1.0
"""Milliseconds of a raw fdatasync (p99) up to which the disk says something about us."""


def run(
    *, quick: bool = False, sizes: Sequence[int] = (), expiries: int | None = None
) -> Iterator[Figure]:
    """DELETE one after the other and at once, at each size; expiries of one instant."""
    for size in sizes or (SIZES_QUICK if quick else SIZES):
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            yield from _deletions(Path(name), size)
    if expiries is None:
        expiries = QUICK_EXPIRIES if quick else EXPIRIES
    if expiries:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            yield from _expiries(Path(name), expiries)


def _deletions(folder: Path, count: int) -> Iterator[Figure]:
    registrar = Registrar(folder / "registrar", nonce_expire=3600, max_expires=3600)
    try:
        address = f"sip:127.0.0.1:{registrar.port}"
        phones = [
            Phone(f"user{number:06}", DOMAIN, PASSWORD, address, proven=True)
            for number in range(count)
        ]
        put_to_sleep(folder / "sipis" / "data", phones, bound=BOUND)
        with Server(folder / "sipis", **BESIDE) as server:  # its ports are free now, and soon used
            ids = _ids(server.data)
            server.start()
            wait_until(lambda: registrar.accepted > BEGUN, "refreshes beside")
            one_by_one, syncs = _beside_syncs(server, ids[:ONE_BY_ONE])
            at_once = _at_once(server, ids[ONE_BY_ONE : ONE_BY_ONE + AT_ONCE])
            receipt = len(_deleted(server.api_port, ids[ONE_BY_ONE + AT_ONCE])["proof"])
    finally:
        registrar.stop()
    name = f"deletion: DELETE acknowledged, {count:,} instances and refreshes,"
    quiet = quantile(syncs, 0.99) <= QUIET
    target, note = (Target(most=10.0), "") if quiet else (None, "no verdict: the disk is busy")
    yield _beside("p50", 0.5, name, one_by_one, syncs)
    yield replace(_beside("p99", 0.99, name, one_by_one, syncs), target=target, note=note)
    yield Figure(
        f"deletion: {AT_ONCE} DELETEs at once, each", at_once / AT_ONCE, "ms",
        quantile(syncs, 0.5), "raw fdatasync", note="group commit",
    )  # fmt: skip
    yield Figure(f"deletion: receipt, {count:,} instances", receipt, "bytes", target=Target(2048))


def _beside(label: str, share: float, name: str, ours: list[float], raw: list[float]) -> Figure:
    return Figure(
        f"{name} {label}", quantile(ours, share), "ms", quantile(raw, share), "raw fdatasync"
    )


def _beside_syncs(server: Server, ids: list[str]) -> tuple[list[float], list[float]]:
    """Milliseconds of deletions one after the other, and of raw writes made meanwhile."""
    syncs: list[float] = []
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.02):
            syncs.extend(fdatasync_times(server.folder, 1))

    beside = threading.Thread(target=write)
    beside.start()
    times = [_delete(server.api_port, name) for name in ids]
    done.set()
    beside.join()
    return times, syncs


def _at_once(server: Server, ids: list[str]) -> float:
    """Milliseconds until all of these are acknowledged, 50 at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda name: _delete(server.api_port, name), ids))
    return (time.perf_counter() - began) * 1e3


def _delete(port: int, instance: str) -> float:
    """Milliseconds of one DELETE on an open connection."""
    return float(_deleted(port, instance)["took"])


def _deleted(port: int, instance: str) -> dict[str, str]:
    """The receipt of a DELETE, and under `took` its milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    began = time.perf_counter()
    connection.request(
        "DELETE", f"/v1/instances/{instance}", headers={"Authorization": f"Bearer {SECRET}"}
    )
    answer = connection.getresponse()
    text = answer.read()
    took = (time.perf_counter() - began) * 1e3
    connection.close()
    assert answer.status == 200, text
    return {**json.loads(text), "took": str(took)}


def _expiries(folder: Path, count: int) -> Iterator[Figure]:
    """From the common instant to the last key, and to the last row."""
    instant = time.time() + LEAD + count * FILLING
    phones = [Phone(f"user{i:06}", DOMAIN, "x", expires_at=instant) for i in range(count)]
    put_to_sleep(folder / "data", phones, bound=3600)
    with Server(folder) as server:
        ids = {bytes.fromhex(name) for name in _ids(server.data)}
        server.start()
        wait_until(lambda: time.time() >= instant, "the instant", 120)
        wait_until(lambda: ids.isdisjoint(_held(server.data)), "the keys to go", 60)
        keys = time.time() - instant
        wait_until(lambda: not _ids(server.data), "the rows to go", 60)
        rows = time.time() - instant
    name = f"deletion: {count:,} expiries at one instant,"
    yield Figure(f"{name} keys destroyed after", keys, "s", target=Target(most=0.5))
    yield Figure(f"{name} all else after", rows, "s", target=Target(most=5.0))


def _ids(data: Path) -> list[str]:
    connection = sqlite3.connect(f"file:{data / MAIN_FILE}?mode=ro", uri=True)
    try:
        return [row[0].hex() for row in connection.execute("SELECT id FROM instances")]
    finally:
        connection.close()


def _held(data: Path) -> set[bytes]:
    """Every instance that some cell of the key slots names."""
    slots = (data / "slots").read_bytes()
    return {slots[place + 4 : place + 20] for place in range(0, len(slots), CELL)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.deletion", description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--expiries", type=int, default=EXPIRIES, help="0: leave them out")
    return parser.parse_args()


if __name__ == "__main__":
    wanted = _arguments()
    for figure in run(sizes=wanted.instances, expiries=wanted.expiries):
        print(figure.line(), flush=True)
