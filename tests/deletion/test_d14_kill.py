"""D14, D15: killed and cut off at random and at chosen points, what was acknowledged holds.

`python -m tools.torture --rounds 300` is the long form.
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import torture

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "20"))
POWER_CUTS = int(os.environ.get("POWER_CUTS", "5"))


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Torture in a process of its own, which has no other threads and forks freely."""
    seed = str(random.SystemRandom().randrange(2**32))
    command = [sys.executable, "-m", "tools.torture", "--seed", seed, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(80 + 5 * KILLS)
def test_d14_kills_at_random_and_chosen_points_lose_and_return_nothing() -> None:
    done = run("--rounds", str(KILLS))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{KILLS} rounds: all is well" in done.stdout


@pytest.mark.timeout(80 + 20 * POWER_CUTS)
@pytest.mark.skipif(shutil.which("cc") is None, reason="a power loss needs a C compiler")
def test_d15_power_losses_lose_and_return_nothing() -> None:
    done = run("--rounds", str(POWER_CUTS), "--power-loss")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{POWER_CUTS} rounds: all is well" in done.stdout


def test_d14_a_lie_about_what_was_acknowledged_is_found(tmp_path: Path) -> None:
    """The control: the check sees a creation that is not there and a deletion without receipt."""
    told = torture.Told()
    told.hear(f"enabled {'1' * 32} {'2' * 64}")
    told.hear(f"deleted {'3' * 32} {'4' * 64}")
    told.hear("deleted cut-o")
    wrong = asyncio.run(torture.check(tmp_path / "home", told))
    assert wrong == [f"lost creation {'1' * 32}", f"no receipt of {'3' * 32}"]
