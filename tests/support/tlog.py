"""A transparency log on an inline store, a key that signs in memory, proofs checked by the RFC."""

import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from sipis.audit import LogSettings, Notary, Surroundings, chronicle, export
from sipis.audit.checkpoints import Checkpoints
from sipis.audit.leaf import Kind, Leaf, created, destroyed, rolled
from sipis.audit.merkle import node_hash
from sipis.audit.verifier.export import verify_log
from sipis.audit.verifier.forms import Checkpoint, Key, read_checkpoints, read_keys
from sipis.audit.verifier.rules import Limits, Report
from sipis.clock import ManualClock
from sipis.errors import VaultError
from sipis.model import DeletionReason
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.store import apps
from sipis.store.inline import InlineRunner
from sipis.vault.signer import verify_ed25519

ORIGIN = "push.example.org/log"
NOW = 1_800_000_000.0
DAY = 86_400.0


class MemoryKey:
    """A note signer; `broken` makes it fail as a lost key does."""

    def __init__(self, seed: bytes = bytes(32)) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.broken = False
        self.signed: list[bytes] = []

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        if self.broken:
            raise VaultError("the key is away")
        self.signed.append(message)
        return self._key.sign(message)


@dataclass
class House:
    """A log in a folder; `reopen` is a restart."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    keys: list[MemoryKey] = field(default_factory=lambda: [MemoryKey()])
    health: Health = field(default_factory=Health)
    store: InlineRunner = field(init=False)
    notary: Notary = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._open()

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder / "checkpoints")

    async def reopen(self) -> None:
        await self.store.close()
        await self.start()

    async def start(self) -> None:
        """After the store was closed."""
        self._open()
        await self.notary.open()

    async def append(self, *leaves: Leaf) -> None:
        """Leaves, and as many rows of instances as they leave living."""
        await self.store.write(_live_and_tell, leaves)

    def published(self) -> str:
        return "".join(self.checkpoints.published(day) for day in self.checkpoints.days())

    async def lines(self) -> list[bytes]:
        return (await self.store.read(export.lines, 0)).splitlines()

    def verifier_keys(self) -> list[Key]:
        return read_keys("\n".join(self.notary.verifier_keys()))

    async def verified(
        self, kept: Sequence[Checkpoint] = (), limits: Limits | None = None
    ) -> Report:
        """What an auditor finds who takes everything away now."""
        checkpoints = [*kept, *read_checkpoints(self.published())]
        return verify(await self.lines(), checkpoints, self.verifier_keys(), limits)

    def _open(self) -> None:
        self.store = InlineRunner(self.folder)
        around = Surroundings(
            self.store, self.clock, Metrics(), self.health, self.checkpoints, lambda: self.keys
        )
        self.notary = Notary(around, LogSettings(ORIGIN, 400 * DAY))


def _live_and_tell(conn: sqlite3.Connection, leaves: Sequence[Leaf]) -> None:
    kinds = Counter(leaf.kind for leaf in leaves)
    living = kinds[Kind.CREATE] - kinds[Kind.DESTROYED]
    apps.count(conn, apps.number(conn, "phone"), instances=living)
    chronicle.append(conn, leaves)


def verify(
    lines: Sequence[bytes],
    checkpoints: Sequence[Checkpoint],
    keys: Sequence[Key],
    limits: Limits | None = None,
) -> Report:
    """The verifier with a fast check of signatures; openssl's has tests of its own."""
    return verify_log(lines, checkpoints, keys, check=verify_ed25519, limits=limits)


def name(number: int) -> bytes:
    """A commitment."""
    return number.to_bytes(32, "big")


def birth(number: int, now: float = NOW, ttl: float = DAY) -> Leaf:
    return created(name(number), now, now + ttl)


def death(
    number: int, now: float = NOW, *, deadline: float = NOW + DAY, epoch: int = 1,
    reason: DeletionReason = DeletionReason.DISABLED,
) -> Leaf:  # fmt: skip
    return destroyed(name(number), reason, now, deadline, epoch)


def roll(before: int = 1, now: float = NOW) -> Leaf:
    return rolled(now, before, before + 1)


def lives(chance: random.Random, count: int) -> list[Leaf]:
    """Many leaves of short lives, as they may follow each other."""
    leaves: list[Leaf] = []
    living: list[int] = []
    for number in range(count):
        if living and chance.random() < 0.45:
            leaves.append(death(living.pop(chance.randrange(len(living)))))
        else:
            living.append(number)
            leaves.append(birth(number))
    return leaves


def is_consistent(
    first: tuple[int, bytes], second: tuple[int, bytes], path: Sequence[bytes]
) -> bool:
    """RFC 9162 section 2.1.4.2, step by step; (size, root) of both trees."""
    (small, old_root), (large, new_root) = first, second
    if small == large:
        return old_root == new_root and not path
    steps = [old_root, *path] if small & (small - 1) == 0 else list(path)
    fn, sn = small - 1, large - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = node_hash(step, old), node_hash(step, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, step)
        fn, sn = fn >> 1, sn >> 1
    return (old, new, sn) == (old_root, new_root, 0)
