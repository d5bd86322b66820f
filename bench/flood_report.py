"""The figures of a flood, and what each is held to."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.flood_datagrams import RECEIVED, SENT
from bench.flood_gauge import MIB
from bench.flood_town import Tally
from bench.report import Figure, Target, quantile

GROWTH: Final = 50.0
"""MiB by which the resident memory may grow."""
LEFT: Final = 25.0
"""MiB of it that may stay when all is over: pages on which something that is kept lies."""
SPARE_FILES: Final = 10
"""File descriptors more than before that are none too many: the server keeps a few connections to
the push service for a while."""


@dataclass(frozen=True)
class Held:
    """Resident bytes and open files; no number of files for who may not see them."""

    memory: int
    files: int | None

    def has_no_more_files_than(self, other: "Held") -> bool:
        """Whether the files are back to what they were."""
        return self.files is None or self.files <= (other.files or 0) + SPARE_FILES


@dataclass(frozen=True)
class Report:
    """What came of a siege; `peak` is the most resident bytes."""

    tally: Tally
    before: Held
    at_end: Held
    quiet: Held
    after: Held
    peak: int
    attacks: Counter[str]

    def figures(self) -> Iterator[Figure]:
        """Every number, with its target where it has one."""
        yield from self._of_calls()
        yield from self._of_memory()
        yield from self._of_files()
        yield from self._of_attacks()

    def _of_calls(self) -> Iterator[Figure]:
        tally = self.tally
        lost = ", ".join(f"{count} x {why}" for why, count in tally.lost.items())
        most = Target(most=0.0)
        yield Figure("flood: calls made", tally.made, "")
        yield Figure("flood: calls not answered", tally.made - tally.answered, "", target=most,
                     note=lost)  # fmt: skip
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            if tally.delays:
                delay = quantile(tally.delays, share) * 1e3
                yield Figure(f"flood: INVITE to 200, {name}", delay, "ms")

    def _of_memory(self) -> Iterator[Figure]:
        yield Figure("flood: resident memory before", self.before.memory / MIB, "MiB")
        for name, memory, most in (
            ("at its peak", self.peak, GROWTH),
            ("at the end", self.at_end.memory, GROWTH),
            ("after a minute of quiet", self.quiet.memory, GROWTH),
            ("after a rest", self.after.memory, LEFT),
        ):
            grown = (memory - self.before.memory) / MIB
            yield Figure(f"flood: growth {name}", grown, "MiB", target=Target(most=most))

    def _of_files(self) -> Iterator[Figure]:
        if self.before.files is None or self.at_end.files is None or self.after.files is None:
            return
        most = Target(most=self.before.files + SPARE_FILES)
        yield Figure("flood: open files before", self.before.files, "")
        yield Figure("flood: open files at the end", self.at_end.files, "")
        yield Figure("flood: open files after a rest", self.after.files, "", target=most)

    def _of_attacks(self) -> Iterator[Figure]:
        sent, received = self.attacks[SENT], self.attacks[RECEIVED]
        if sent:
            most = Target(most=1.0, of_peer=True)
            yield Figure("flood: UDP answered to strangers", received, "B", sent, "sent", most)
        for name in sorted(self.attacks.keys() - {SENT, RECEIVED}):
            yield Figure(f"flood: {name}", self.attacks[name], "")
