"""Runs the benches and prints their figures as they come."""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench import control
from bench.programs import NotHere, Stuck
from bench.report import Figure
from sipis.config import LogSettings
from sipis.observe.log import set_up

BENCHES: Final = (
    "core",
    "loops",
    "registration",
    "memory",
    "invite_to_push",
    "push",
    "deletion",
    "roll",
    "store_claim",
)
"""Modules of this package, each with `run(*, quick) -> Iterator[Figure]`."""


def main() -> int:
    """Print a line per figure; 1 when a bench could not be carried out."""
    wanted = _arguments()
    set_up(LogSettings(level="error"))
    with tempfile.TemporaryDirectory() as name:
        _print(control.figures(Path(name)))
    failed = [name for name in wanted.names if not _run(name, quick=wanted.quick)]
    return 1 if failed else 0


def _run(name: str, *, quick: bool) -> bool:
    run: Callable[..., Iterator[Figure]] = importlib.import_module(f"bench.{name}").run
    try:
        _print(run(quick=quick))
    except NotHere as missing:
        print(f"{name}: left out, {missing}", flush=True)
    except Stuck as problem:
        print(f"{name}: failed, {problem}", flush=True)
        return False
    return True


def _print(figures: Iterator[Figure]) -> None:
    for figure in figures:
        print(figure.line(), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, coarser figures")
    wanted = parser.parse_args()
    unknown = set(wanted.names) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    wanted.names = wanted.names or list(BENCHES)
    return wanted


if __name__ == "__main__":
    sys.exit(main())
