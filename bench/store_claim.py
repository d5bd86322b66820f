"""What a claim, a settlement and an erasure cost, beside a raw fdatasync of the same run.

    python -m bench.store_claim [instances] [registrars]

Prints one line per figure.
"""

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

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

    def report(self) -> None:
        ordered = sorted(self.milliseconds)
        p99 = ordered[int(len(ordered) * 0.99)]
        median = statistics.median(ordered)
        print(f"{self.name}: p50 {median:.3f} ms, p99 {p99:.3f} ms, n {len(ordered)}")


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

    def fill(self) -> None:
        began = time.perf_counter()
        for first in range(0, self.count, STEP):
            numbers = range(first, min(first + STEP, self.count))
            self.commit(lambda conn, numbers=numbers: self.insert_all(conn, numbers))  # type: ignore[misc]
        each = (time.perf_counter() - began) / self.count * 1e6
        truncate_logs(self.conn)
        size = (self.directory / MAIN_FILE).stat().st_size / self.count
        print(f"insert in batches: {each:.1f} us, on disk {size:.0f} bytes, n {self.count}")

    def insert_all(self, conn: sqlite3.Connection, numbers: range) -> None:
        for number in numbers:
            instances.insert(conn, new_instance(number, self.registrars))

    def claim_and_settle(self) -> None:
        claims, settles = Samples("claim of 32, committed"), Samples("settlement of 32, committed")
        finds, syncs = Samples("look-up by Contact"), Samples("control: raw fdatasync of 4 KiB")
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
        for samples in (claims, settles, finds, syncs):
            samples.report()

    def next_due(self) -> None:
        samples = Samples(f"next_due with {self.registrars} registrars")
        for _ in range(100):
            samples.measure(lambda: schedule.next_due(self.conn, self.due))
        samples.report()

    def erase(self) -> None:
        erased = Samples("erasure of one, committed and checkpointed")
        rows = lookup.page(self.conn, NOW, limit=min(200, self.count // 10))
        for row in rows:
            receipt = Receipt(row.commitment, DeletionReason.DISABLED, self.due, "{}")
            one = Erasure(row.n, receipt)
            erased.measure(lambda one=one: self.erase_one(one))  # type: ignore[misc]
        erased.report()

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


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    registrars = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), count, registrars)
        bench.fill()
        bench.claim_and_settle()
        bench.next_due()
        bench.erase()
        bench.conn.close()


if __name__ == "__main__":
    main()
