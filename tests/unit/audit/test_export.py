"""The verifier as a file that an auditor takes away."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sipis.audit import export, receipt_for
from sipis.audit.verifier.forms import read_checkpoints
from sipis.cli import app as commands
from sipis.model import DeletionReason
from tests.support.tlog import DAY, NOW, House, birth, death, name


async def exported(folder: Path, late: float = 0.0) -> Path:
    """What `sipis audit export` writes, and a receipt of a deletion that came so late."""
    house, taken = House(folder / "house"), folder / "taken"
    taken.mkdir()
    await house.notary.open()
    await house.append(birth(1, NOW, DAY), death(1, NOW + DAY * (late > 0) + late))
    await house.notary.epoch_rolled(1, 2)
    vouched = await house.notary.vouch(receipt_for(name(1), DeletionReason.DISABLED, NOW))
    await house.notary.work()
    (taken / "log.jsonl").write_bytes(b"".join(it + b"\n" for it in await house.lines()))
    (taken / "checkpoints").write_text(house.published())
    (taken / "keys").write_text("".join(f"{key}\n" for key in house.notary.verifier_keys()))
    (taken / "one.tlog-proof").write_text(vouched.proof)
    (taken / "verify.pyz").write_bytes(export.verifier())
    assert read_checkpoints(house.published())
    await house.store.close()
    return taken


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a Python that knows nothing but its standard library."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "verify.pyz", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


async def test_l2_it_verifies_a_receipt_and_an_export_offline(tmp_path: Path) -> None:
    taken = await exported(tmp_path)
    receipt = run(taken, "--key", "keys", "one.tlog-proof")
    assert (receipt.returncode, "the receipt holds" in receipt.stdout) == (0, True)
    whole = run(taken, ".")
    assert (whole.returncode, "everything holds" in whole.stdout) == (0, True), whole.stdout


SAVED: list[Callable[[bytes], bytes]] = [
    lambda proof: proof + b"\n",
    lambda proof: b"\n" + proof.rstrip(b"\n"),
    lambda proof: proof.replace(b"\n", b"\r\n"),
]


@pytest.mark.parametrize("saved", SAVED)
async def test_a_receipt_holds_however_its_lines_and_its_end_were_saved(
    tmp_path: Path, saved: Callable[[bytes], bytes]
) -> None:
    taken = await exported(tmp_path)
    (taken / "one.tlog-proof").write_bytes(saved((taken / "one.tlog-proof").read_bytes()))
    assert run(taken, "--key", "keys", "one.tlog-proof").returncode == 0
    assert run(taken, ".").returncode == 0


async def test_it_ends_with_one_line_and_status_1_when_something_is_wrong(tmp_path: Path) -> None:
    taken = await exported(tmp_path)
    text = (taken / "one.tlog-proof").read_text()
    (taken / "one.tlog-proof").write_text(text.replace("index", "indes"))
    for arguments in (("--key", "keys", "one.tlog-proof"), (".",), ("nothing-there",)):
        done = run(taken, *arguments)
        assert done.returncode == 1
        assert done.stdout.endswith("NOT PROVEN\n")
        assert not done.stderr


async def test_an_opening_of_another_instance_is_refused(tmp_path: Path) -> None:
    taken = await exported(tmp_path)
    done = run(taken, "--key", "keys", "--opening", f"{'ab' * 16}:{'00' * 32}", "one.tlog-proof")
    assert (done.returncode, "another instance" in done.stdout) == (1, True)


LAX = ("--roll", "999999", "--epoch", "999999", "--canary", "999999")


async def test_l9_the_auditor_says_how_late_is_too_late(tmp_path: Path) -> None:
    taken = await exported(tmp_path, late=90)
    strict, patient = run(taken, ".", *LAX), run(taken, ".", *LAX, "--late", "120")
    assert (strict.returncode, "destroyed 90 s after" in strict.stdout) == (1, True)
    assert (patient.returncode, "at most 120 s after the deadline" in patient.stdout) == (0, True)
    for options, code in ((LAX, 1), ((*LAX, "--late", "120"), 0)):
        said = CliRunner().invoke(commands, ["audit", "verify", str(taken), *options])
        assert said.exit_code == code, said.output


async def test_l9_what_the_log_was_held_to_is_told(tmp_path: Path) -> None:
    taken = await exported(tmp_path)
    done = run(taken, ".", "--late", "1", "--roll", "2", "--epoch", "3", "--canary", "4")
    told = next(line for line in done.stdout.splitlines() if line.startswith("held to"))
    assert re.findall(r"\d+", told) == ["1", "2", "3", "4"]


def test_the_same_release_packs_the_same_file() -> None:
    assert export.verifier() == export.verifier()
