"""The promises of a log, leaf by leaf: instances end in time, epochs rise, censuses are right.

Refuses to stop at the first breach: all of them are told.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

from .forms import Leaf, seconds

MINUTE = 60
SLACK = 2 * MINUTE
"""Seconds that two moments told in whole minutes, and the time of a roll, may add."""


@dataclass
class Report:
    """What an export shows. Empty findings: everything holds."""

    findings: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    leaves: int = 0
    live: int = 0
    checkpoints: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lateness: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Limits:
    """What was promised, in seconds.

    epoch: how old an epoch key may get. roll: how soon after a deletion it is replaced.
    canary: between two canaries. late: from a deadline to the destruction.
    """

    epoch: int = 3600
    roll: int = 60
    canary: int = 3600
    late: int = 60


class Rules:
    """Reads the leaves in order and notes what breaks a promise."""

    def __init__(self, report: Report, limits: Limits) -> None:
        self._report = report
        self._limits = limits
        self._open: dict[str, str] = {}
        self._base: int | None = 0
        self._epoch = 0
        self._since: dict[str, int] = {}
        self._unrolled: list[tuple[int, int]] = []
        self._rolls: list[tuple[int, int]] = []
        self._hidden = 0
        self._keys_lost = False
        self._now = 0
        self.lost: list[tuple[int, bytes]] = []
        self.key_changed = 0

    def dropped(self, seq: int) -> None:
        """A leaf of which only the hash is left: what it said is unknown from here on.

        The oldest go first, so nothing that is told may stand before it.
        """
        if self._now:
            self._find(f"leaf {seq}: left out, although earlier ones are told")
        self._hidden = seq + 1
        self._base = None

    def read(self, leaf: Leaf) -> None:
        """Take the next leaf."""
        self._report.kinds[leaf["type"]] += 1
        self._now = max(self._now, seconds(leaf["minute"]))
        self._since.setdefault("epoch", self._now)
        self._since.setdefault("canary", self._now)
        getattr(self, f"_{leaf['type']}")(leaf)

    def finish(self) -> None:
        """Nothing follows: tell what should have ended by now."""
        for deadline in self._open.values():
            if seconds(deadline) + self._limits.late + SLACK < self._now:
                self._find(f"an instance due at {deadline} was never destroyed")
        self._due("epoch", self._limits.epoch, "the epoch key was not rolled")
        self._due("canary", self._limits.canary, "no canary was planted")
        self._rolls_owed(self._now)
        if self._hidden:
            self._report.notices.append(
                f"the first {self._hidden} leaves are there as hashes alone; told is what follows"
            )
        self._report.live = len(self._open)

    def _create(self, leaf: Leaf) -> None:
        if leaf["c"] in self._open:
            self._find(f"leaf {leaf['seq']}: this instance lives already")
        self._open[leaf["c"]] = leaf["deadline"]

    def _refresh(self, leaf: Leaf) -> None:
        deadline = self._open.get(leaf["c"])
        if deadline is None and self._base is not None:
            self._find(f"leaf {leaf['seq']}: refreshes an instance that does not live")
        moment = seconds(leaf["minute"])
        if deadline is not None and moment > seconds(deadline) + self._limits.late:
            self._find(f"leaf {leaf['seq']}: refreshed after its deadline")
        self._open[leaf["c"]] = leaf["deadline"]

    def _destroyed(self, leaf: Leaf) -> None:
        seq, late = leaf["seq"], leaf["lateness"]
        self._report.reasons[leaf["reason"]] += 1
        self._report.lateness[lateness_class(late)] += 1
        deadline = self._open.pop(leaf["c"], None)
        if deadline is None and self._base is not None:
            self._find(f"leaf {seq}: ends an instance that does not live")
        if deadline not in {None, leaf["deadline"]}:
            self._find(f"leaf {seq}: its deadline was {deadline}")
        after = seconds(leaf["minute"]) - seconds(leaf["deadline"])
        if self._keys_lost and leaf["reason"] == "key_lost":
            pass  # its key was gone before; when, the leaves that are lost told
        elif max(late, after) > self._limits.late or late > max(0, after) + MINUTE:
            self._find(f"leaf {seq}: destroyed {max(late, after)} s after its deadline")
        if leaf["epoch_before"] < self._epoch:
            self._told_after_its_roll(leaf)
        else:
            self._unrolled.append((seconds(leaf["minute"]), leaf["epoch_before"]))

    def _told_after_its_roll(self, leaf: Leaf) -> None:
        """A full disk kept both leaves from the log, and they came in another order."""
        which = bisect_right(self._rolls, leaf["epoch_before"], key=lambda roll: roll[0])
        waited = self._rolls[which][1] - seconds(leaf["minute"])
        if not 0 <= waited <= self._limits.roll + SLACK:
            self._find(f"leaf {leaf['seq']}: rolled {waited} s after the deletion")

    def _epoch_rolled(self, leaf: Leaf) -> None:
        before, after = leaf["epoch_before"], leaf["epoch_after"]
        if not before < after or before != (self._epoch or before):
            self._find(f"leaf {leaf['seq']}: epoch {after} does not follow {self._epoch}")
        self._due("epoch", self._limits.epoch, "the epoch key was too old")
        moment = seconds(leaf["minute"])
        self._rolls_owed(moment)
        self._unrolled = [it for it in self._unrolled if it[1] >= after]
        self._epoch, self._since["epoch"] = after, moment
        self._rolls.append((after, moment))

    def _rolls_owed(self, moment: int) -> None:
        late = [it for it, _ in self._unrolled if moment - it > self._limits.roll + SLACK]
        if late:
            self._find(f"{len(late)} deletions were not followed by a roll in time")

    def _census(self, leaf: Leaf) -> None:
        if self._base is None:
            self._base = leaf["count"] - len(self._open)
        elif self._base + len(self._open) != leaf["count"]:
            live = self._base + len(self._open)
            self._find(f"leaf {leaf['seq']}: {leaf['count']} live, the log says {live}")

    def _canary_ok(self, leaf: Leaf) -> None:
        self._due("canary", self._limits.canary, "a canary was late")
        self._since["canary"] = seconds(leaf["minute"])

    def _canary_fail(self, leaf: Leaf) -> None:
        self._find(f"leaf {leaf['seq']}: a canary left {leaf['count']} traces")
        self._canary_ok(leaf)

    def _config(self, leaf: Leaf) -> None:
        """Time stands still while the server does not run."""
        if leaf["notice"] == "started":
            self._tell_of_absence(leaf)
            self._since = dict.fromkeys(self._since, seconds(leaf["minute"]))
            self._unrolled = [(max(it, self._now), epoch) for it, epoch in self._unrolled]
        else:
            self._report.notices.append(f"leaf {leaf['seq']}: {leaf['notice']}")

    def _tell_of_absence(self, leaf: Leaf) -> None:
        """Old copies opened what was deleted until the roll that follows this start."""
        waited = self._now - min((it for it, _ in self._unrolled), default=self._now)
        if waited > self._limits.roll + SLACK:
            self._report.notices.append(
                f"leaf {leaf['seq']}: {len(self._unrolled)} deletions waited {waited // MINUTE}"
                " minutes for a roll: the server was away"
            )

    def _restore(self, leaf: Leaf) -> None:
        self._keys_lost = True
        self._report.notices.append(f"leaf {leaf['seq']}: an older database was restored")
        if "c" in leaf:
            self.lost.append((leaf["count"], bytes.fromhex(leaf["c"])))
            self._base = None

    def _keyloss(self, leaf: Leaf) -> None:
        self._keys_lost = True
        self._rolls.clear()
        self._epoch = 0  # perhaps the epoch slot was lost as well, and generations begin anew
        self._report.notices.append(f"leaf {leaf['seq']}: keys of {leaf['count']} rows were lost")

    def _log_key(self, leaf: Leaf) -> None:
        if leaf["seq"]:
            self.key_changed = leaf["seq"]
            self._report.notices.append(f"leaf {leaf['seq']}: another key signs from here on")

    def _due(self, what: str, limit: int, text: str) -> None:
        passed = self._now - self._since.get(what, self._now)
        if passed > limit + SLACK:
            self._find(f"{text} for {passed // 60} minutes")

    def _find(self, text: str) -> None:
        self._report.findings.append(text)


def lateness_class(late: int) -> str:
    """Into which class of the histogram a lateness in seconds falls."""
    limits = ((0, "in time"), (1, "1 s"), (5, "2-5 s"), (60, "6-60 s"))
    return next((name for limit, name in limits if late <= limit), "over 60 s")
