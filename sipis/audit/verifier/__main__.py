"""The command of the verifier. Refuses to exit with 0 unless everything holds."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from .export import verify_folder
from .forms import Key, Unproven, read_checkpoints, read_keys
from .receipt import Proven, as_given_out, commitment_of, verify_receipt
from .rules import Limits, Report, lateness_class

LIMITS = {
    "late": "seconds from a deadline to the destruction",
    "roll": "seconds from a deletion to the next epoch key",
    "epoch": "seconds that an epoch key may be in force",
    "canary": "seconds between two canaries",
}
"""The options that set what the log is held to."""


def told(report: Report, limits: Limits) -> Iterator[str]:
    """The report as lines for a person."""
    yield f"leaves        {report.leaves}, checkpoints {report.checkpoints}"
    yield f"live          {report.live}"
    yield f"events        {_counted(report.kinds)}"
    yield f"destroyed     {_counted(report.reasons)}"
    yield f"lateness      {_counted(report.lateness)}"
    yield f"held to       {_limits(limits)}"
    yield from (f"notice        {it}" for it in report.notices)
    yield from (f"FINDING       {it}" for it in report.findings)
    yield "NOT PROVEN" if report.findings else "everything holds"


def told_receipt(proven: Proven) -> Iterator[str]:
    """A proven deletion as lines for a person."""
    leaf, checkpoint = proven.leaf, proven.checkpoint
    yield f"commitment    {leaf['c']}"
    yield f"destroyed     {leaf['minute']}, reason {leaf['reason']}"
    yield f"deadline      {leaf['deadline']}, {lateness_class(leaf['lateness'])}"
    yield f"log           {checkpoint.origin}, leaf {leaf['seq']} of {checkpoint.size}"
    yield "the receipt holds"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common()) or "none"


def _limits(limits: Limits) -> str:
    return (
        f"destroyed at most {limits.late} s after the deadline, epoch key rolled within"
        f" {limits.roll} s and every {limits.epoch} s, a canary every {limits.canary} s"
    )


def check_evidence(
    what: Path,
    key: Path | None,
    *,
    opening: str = "",
    kept: Path | None = None,
    limits: Limits | None = None,
) -> tuple[bool, list[str]]:
    """Check a receipt or a folder: whether it holds, and what to tell. Never raises for input."""
    limits = limits or Limits()
    try:
        keys = read_keys((key or what / "keys").read_text("utf-8"))
        if what.is_dir():
            before = read_checkpoints(kept.read_text("utf-8")) if kept else []
            report = verify_folder(what, keys, before, limits)
            return not report.findings, list(told(report, limits))
        proven = _receipt(what, keys, opening)
    except (Unproven, OSError, ValueError) as wrong:
        return False, [f"FINDING       {wrong}", "NOT PROVEN"]
    return True, list(told_receipt(proven))


def _receipt(path: Path, keys: Sequence[Key], opening: str) -> Proven:
    proven = verify_receipt(as_given_out(path.read_text("utf-8")), keys)
    instance, _, salt = opening.partition(":")
    if opening and commitment_of(instance, salt) != proven.leaf["c"]:
        raise Unproven("the receipt is about another instance than this opening")
    return proven


def main() -> int:
    """Run from the command line; 0 when everything holds."""
    parser = argparse.ArgumentParser(description="Check receipts and exports of the log.")
    parser.add_argument("what", type=Path, help="a receipt, or the folder of an export")
    parser.add_argument("--key", type=Path, help="verifier keys; of a folder: its file `keys`")
    parser.add_argument("--opening", default="", help="INSTANCE:SALT as the app was given them")
    parser.add_argument("--kept", type=Path, help="checkpoints kept from an earlier visit")
    for name, help_ in LIMITS.items():
        default = getattr(Limits, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{help_}: {default}")
    given = parser.parse_args()
    limits = Limits(**{name: getattr(given, name) for name in LIMITS})
    holds, lines = check_evidence(
        given.what, given.key, opening=given.opening, kept=given.kept, limits=limits
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
