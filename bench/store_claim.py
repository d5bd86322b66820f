"""What a claim, a settlement and an erasure take, beside raw fdatasync calls of the same run.

python -m bench.store_claim [INSTANCES]
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.report import Figure, quantile
from sipis.model import (
    DeletionReason,
    Environment,
    InstanceId,
    InstanceState,
    Mode,
    PushService,
    TargetKind,
)
from sipis.store import erasure, instances, lookup, schedule
from sipis.store.batch import Job
from sipis.store.checkpoint import truncate_logs
from sipis.store.connection import MAIN_FILE
from sipis.store.erasure import Erasure
from sipis.store.instances import NewInstance
from sipis.store.receipts import Receipt
from sipis.store.runner import open_migrated
from sipis.store.schedule import Binding, Claim, Settlement
from sipis.store.targets import NewTarget

T = TypeVar("T")

NOW = 1_800_000_000.0
SEALED = bytes(541)
ROUNDS = 300
STEP = 5000


@dataclass
class Samples:
    name: str
    milliseconds: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        self.milliseconds.append((time.perf_counter() - began) * 1000)
        return result

    def figures(self, beside: "Samples | None" = None) -> Iterator[Figure]:
        for label, share in ("p50", 0.5), ("p99", 0.99):
            raw = quantile(beside.milliseconds, share) if beside else None
            name = "raw fdatasync" if beside else ""
            ours = quantile(self.milliseconds, share)
            yield Figure(f"store: {self.name}, {label}", ours, "ms", raw, name)


class Bench:
    def __init__(self, directory: Path, count: int, registrars: int) -> None:
        self.directory = directory
        self.count = count
        self.registrars = registrars
        self.conn = open_migrated(directory)
        self.due = NOW + count * 0.001

    def commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        job = Job(work)
        job.run_alone(self.conn)
        return job.outcome()

    def fill(self) -> Iterator[Figure]:
        began = time.perf_counter()
        for first in range(0, self.count, STEP):
            numbers = range(first, min(first + STEP, self.count))
            self.commit(lambda conn, numbers=numbers: self.insert_all(conn, numbers))  # type: ignore[misc]
        each = (time.perf_counter() - began) / self.count * 1e6
        truncate_logs(self.conn)
        size = (self.directory / MAIN_FILE).stat().st_size / self.count
        yield Figure(f"store: an insert among {STEP:,}, {self.count:,} instances", each, "us")
        yield Figure(f"store: on disk, each of {self.count:,} instances", size, "B")

    def insert_all(self, conn: sqlite3.Connection, numbers: range) -> None:
        for number in numbers:
            instances.insert(conn, new_instance(number, self.registrars))

    def claim_and_settle(self) -> Iterator[Figure]:
        claims, settles = Samples("claim of 32, committed"), Samples("settlement of 32, committed")
        finds, syncs = Samples("look-up by Contact"), Samples("raw fdatasync of 4 KiB")
        for _ in range(min(ROUNDS, self.count // 64)):
            taken = claims.measure(
                lambda: self.commit(lambda conn: schedule.claim(conn, self.due, limit=32))
            )
            outcome = [settlement(claim) for claim in taken]
            settles.measure(
                lambda outcome=outcome: self.commit(  # type: ignore[misc]
                    lambda conn: schedule.settle(conn, outcome, self.due)
                )
            )
            token = taken[0].contact_token
            finds.measure(lambda token=token: lookup.by_contact_token(self.conn, token, NOW))  # type: ignore[misc]
            self.synchronize(syncs)
        yield from claims.figures(syncs)
        yield from settles.figures(syncs)
        yield from finds.figures()

    def next_due(self) -> Iterator[Figure]:
        samples = Samples(f"next_due with {self.registrars} registrars")
        for _ in range(100):
            samples.measure(lambda: schedule.next_due(self.conn, self.due))
        yield from samples.figures()

    def erase(self) -> Iterator[Figure]:
        erased = Samples("erasure of one, committed and checkpointed")
        rows = lookup.page(self.conn, NOW, limit=min(200, self.count // 10))
        for row in rows:
            receipt = Receipt(row.commitment, DeletionReason.DISABLED, self.due, "{}")
            one = Erasure(row.n, receipt)
            erased.measure(lambda one=one: self.erase_one(one))  # type: ignore[misc]
        yield from erased.figures()

    def erase_one(self, one: Erasure) -> None:
        self.commit(lambda conn: erasure.erase(conn, [one], tombstone_ttl=86_400))
        truncate_logs(self.conn)

    def synchronize(self, samples: Samples) -> None:
        with (self.directory / "control").open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            samples.measure(lambda: os.fdatasync(file.fileno()))


def new_instance(number: int, registrars: int) -> NewInstance:
    name, digest = f"{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}", number.to_bytes(32, "big")
    target = NewTarget(digest, PushService.APNS, TargetKind.VOIP, Environment.PRODUCTION)
    return NewInstance(
        id=InstanceId(name),
        app="bench",
        secret_hash=digest,
        mode=Mode.CONTINUOUS,
        created_at=NOW + number * 0.001,
        expires_at=NOW + 432_000,
        ttl=432_000,
        slot=number,
        version=1,
        sealed_credential=SEALED,
        sealed_targets=SEALED,
        contact_token=name,
        call_id=name,
        relay_user=name,
        registrar=f"registrar-{number % registrars}.example",
        aor_index=digest,
        commitment=digest,
        targets=(target,),
    )


def settlement(claim: Claim) -> Settlement:
    return Settlement(
        n=claim.n,
        generation=claim.generation,
        cseq=claim.cseq,
        next_attempt_at=NOW + 100_000 + claim.n % 1000,
        state=InstanceState.REGISTERED,
        last_status=200,
        granted=3600,
        bound_until=NOW + 400_000,
        binding=Binding("nonce" * 10, (), "udp|192.0.2.1:5060"),
    )


def run(*, quick: bool = False, count: int = 0, registrars: int = 100) -> Iterator[Figure]:
    """Inserts, claims, settlements, look-ups and erasures of a filled store."""
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), count or (10_000 if quick else 30_000), registrars)
        yield from bench.fill()
        yield from bench.claim_and_settle()
        yield from bench.next_due()
        yield from bench.erase()
        bench.conn.close()


if __name__ == "__main__":
    for figure in run(count=int((sys.argv[1:] or ["0"])[0])):
        print(figure.line(), flush=True)
