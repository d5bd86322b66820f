"""Fuzzes the SIP core for some seconds and says what came of it.

    python -m tests.fuzz [seconds]

New inputs of interest go to build/fuzz and are used again; an input that breaks something stays
there as a file whose name begins with crash, timeout or oom.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOUND: Final = ROOT / "build" / "fuzz"
SEEDS: Final = (
    ROOT / "tests/fuzz/corpus",
    ROOT / "tests/data/rfc4475",
    ROOT / "tests/data/rfc5118",
)
MOST_ENGINES: Final = 4
DICTIONARY: Final = ROOT / "tests/fuzz/sip.dict"


def main() -> int:
    """Print one line, and the finding where there is one; 1 then."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    (FOUND / "inputs").mkdir(parents=True, exist_ok=True)
    engines = [_start(seconds) for _ in range(min(os.cpu_count() or 1, MOST_ENGINES))]
    logs = [engine.communicate()[0] for engine in engines]
    findings = [log for log, one in zip(logs, engines, strict=True) if one.returncode]
    for log in findings:
        print(log[-6000:])
    runs = sum(_statistic(log, "number_of_executed_units") for log in logs)
    rate = sum(_statistic(log, "average_exec_per_sec") for log in logs)
    verdict = f"{len(findings)} findings" if findings else "no finding"
    print(f"fuzz: {runs:,} executions in {seconds} s, {rate:,} per second, {verdict}")
    return 1 if findings else 0


def _start(seconds: int) -> "subprocess.Popen[str]":
    """One engine; all share the inputs that they find."""
    options = [
        f"-max_total_time={seconds}", "-max_len=4096", "-timeout=2", "-print_final_stats=1",
        "-reload=1", f"-artifact_prefix={FOUND}/", f"-dict={DICTIONARY}",
    ]  # fmt: skip
    corpora = [str(FOUND / "inputs"), *map(str, SEEDS)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.engine", *options, *corpora],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _statistic(log: str, name: str) -> int:
    found = re.search(rf"stat::{name}:\s+(\d+)", log)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
