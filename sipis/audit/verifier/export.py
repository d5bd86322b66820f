"""A whole export: leaves, checkpoints and receipts held against each other.

Refuses to stop at the first finding, save at a line that cannot be read.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .forms import Checkpoint, Key, Unproven, read_checkpoints, read_leaf
from .receipt import as_given_out, verify_receipt
from .rules import Limits, Report, Rules
from .signatures import Check, OfUnknownKey, check_signatures, openssl
from .tree import GrowingTree, leaf_hash


def verify_log(
    lines: Iterable[bytes],
    checkpoints: Sequence[Checkpoint],
    keys: Sequence[Key],
    *,
    check: Check = openssl,
    limits: Limits | None = None,
) -> Report:
    """Check leaves against checkpoints and promises; the last leaves may be unsigned yet."""
    report = Report(checkpoints=len(checkpoints))
    rules = Rules(report, limits or Limits())
    roots = {it.size: b"" for it in checkpoints}
    wrong = _check_all(checkpoints, keys, check)
    tree = GrowingTree()
    if 0 in roots:
        roots[0] = tree.root()
    for line in lines:
        try:
            tree.add(_read(line, tree.size, rules))
        except (Unproven, KeyError, TypeError, ValueError) as bad:
            report.findings.append(f"{bad}" if isinstance(bad, Unproven) else "a broken leaf")
            return report
        if tree.size in roots:
            roots[tree.size] = tree.root()
    rules.finish()
    report.leaves = tree.size
    _judge_signatures(report, checkpoints, wrong, rules.key_changed)
    _compare(report, checkpoints, roots, rules.lost)
    return report


def _read(line: bytes, seq: int, rules: Rules) -> bytes:
    """The hash of a line; one whose time is over is there as its hash alone."""
    if line.startswith(b'{"seq":%d,"hash":"' % seq):
        rules.dropped(seq)
        return bytes.fromhex(json.loads(line)["hash"])
    rules.read(read_leaf(line, seq))
    return leaf_hash(line)


def _check_all(
    checkpoints: Sequence[Checkpoint], keys: Sequence[Key], check: Check
) -> list[Unproven | None]:
    """What is wrong with the signatures of each."""

    def problem(checkpoint: Checkpoint) -> Unproven | None:
        try:
            check_signatures(checkpoint, keys, check)
        except Unproven as wrong:
            return wrong
        return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(problem, checkpoints))


def _judge_signatures(
    report: Report,
    checkpoints: Sequence[Checkpoint],
    problems: Sequence[Unproven | None],
    changed: int,
) -> None:
    """A key that was retired need not be known: what is signed since leads to what it signed."""
    judged = list(zip(checkpoints, problems, strict=True))
    newest = max((it.size for it, wrong in judged if wrong is None), default=0)
    retired = 0
    for it, wrong in judged:
        if isinstance(wrong, OfUnknownKey) and it.size <= changed < newest:
            retired += 1
        elif wrong is not None:
            report.findings.append(f"checkpoint of {it.size} leaves: {wrong}")
    if retired:
        report.notices.append(
            f"{retired} checkpoints are of a key from before leaf {changed} alone"
        )


def _compare(
    report: Report,
    checkpoints: Sequence[Checkpoint],
    roots: dict[int, bytes],
    lost: Sequence[tuple[int, bytes]],
) -> None:
    """Every checkpoint must be a state that these leaves went through."""
    current = checkpoints[-1].origin if checkpoints else ""
    for it in checkpoints:
        if roots[it.size] == it.root:
            continue
        admitted = it.origin != current and any(it.size <= size for size, _ in lost)
        text = f"checkpoint of {it.size} leaves: the log does not hold what was signed"
        (report.notices if admitted else report.findings).append(text)
    newest = max((it.size for it in checkpoints), default=0)
    if newest < report.leaves:
        report.notices.append(f"the last {report.leaves - newest} leaves are not signed yet")


def verify_folder(
    folder: Path,
    keys: Sequence[Key],
    kept: Sequence[Checkpoint] = (),
    limits: Limits | None = None,
) -> Report:
    """Check an export, its receipts, and checkpoints kept from earlier visits."""
    checkpoints = [*kept, *read_checkpoints((folder / "checkpoints").read_text("utf-8"))]
    with (folder / "log.jsonl").open("rb") as file:
        lines = (line.rstrip(b"\n") for line in file)
        report = verify_log(lines, checkpoints, keys, limits=limits)
    for path in sorted(folder.glob("*.tlog-proof")):
        try:
            verify_receipt(as_given_out(path.read_text("utf-8")), keys)
        except Unproven as wrong:
            report.findings.append(f"{path.name}: {wrong}")
    return report
