"""Deletions acknowledged over the API beside refreshes, and thousands of expiries at one instant.

    python -m bench.deletion [INSTANCES]

An acknowledged deletion has destroyed the key and erased the row, both on disk; so the time is
shown beside raw fdatasync calls on the same disk in the same seconds.
"""

import http.client
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
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

INSTANCES, QUICK_INSTANCES = 10_000, 4_000
ONE_BY_ONE, AT_ONCE = 300, 200
EXPIRIES, QUICK_EXPIRIES = 10_000, 2_000
BOUND = 40.0
"""Seconds for which the phones are registered; all are refreshed while they are deleted."""
BESIDE = {'providers."127.0.0.1"': {"register_per_second": 400.0, "registers_in_flight": 128}}
LEAD = 10.0
"""Seconds between filling the folder and the common expiry: time enough to start."""
FILLING = 0.0015
"""Seconds that each phone may take until it sleeps."""
CELL = 128
QUIET = 1.0
"""Milliseconds of a raw fdatasync (p99) up to which the disk says something about us."""


def run(*, quick: bool = False, instances: int = 0) -> Iterator[Figure]:
    """DELETE one after the other and at once; expiries of one instant."""
    with tempfile.TemporaryDirectory() as name:
        yield from _deletions(
            Path(name) / "delete", instances or (QUICK_INSTANCES if quick else INSTANCES)
        )
        yield from _expiries(Path(name) / "expire", QUICK_EXPIRIES if quick else EXPIRIES)


def _deletions(folder: Path, count: int) -> Iterator[Figure]:
    registrar = Registrar(folder / "registrar", nonce_expire=3600, max_expires=3600)
    with Server(folder / "sipis", **BESIDE) as server:
        try:
            address = f"sip:127.0.0.1:{registrar.port}"
            phones = [
                Phone(f"user{number:06}", DOMAIN, PASSWORD, address, proven=True)
                for number in range(count)
            ]
            put_to_sleep(server.data, phones, bound=BOUND)
            ids = _ids(server.data)
            server.start()
            wait_until(lambda: registrar.accepted > count // 20, "refreshes beside")
            one_by_one, syncs = _beside_syncs(server, ids[:ONE_BY_ONE])
            at_once = _at_once(server, ids[ONE_BY_ONE : ONE_BY_ONE + AT_ONCE])
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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    began = time.perf_counter()
    connection.request(
        "DELETE", f"/v1/instances/{instance}", headers={"Authorization": f"Bearer {SECRET}"}
    )
    answer = connection.getresponse()
    body = json.loads(answer.read())
    took = (time.perf_counter() - began) * 1e3
    connection.close()
    assert answer.status == 200, body
    return took


def _expiries(folder: Path, count: int) -> Iterator[Figure]:
    """From the common instant to the last key, and to the last row."""
    with Server(folder) as server:
        instant = time.time() + LEAD + count * FILLING
        phones = [Phone(f"user{i:06}", DOMAIN, "x", expires_at=instant) for i in range(count)]
        put_to_sleep(server.data, phones, bound=3600)
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


if __name__ == "__main__":
    for figure in run(instances=int(sys.argv[1]) if len(sys.argv) > 1 else 0):
        print(figure.line(), flush=True)
