import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sipis.vault.process import wipes_freed

TUNABLES = "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"
WIPING = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": TUNABLES}

CHILD = """
import json, os, resource, sys
from pathlib import Path
from sipis.vault import harden
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
report = harden(json.loads(sys.argv[1]), Path(sys.argv[2]))
status = Path("/proc/self/mem").stat()
print(json.dumps({
    "unprotected": report.unprotected,
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable_owner": status.st_uid,
}))
"""


def hardened(
    environment: dict[str, str], swaps: Path, memlock: int = 8 << 20
) -> dict[str, list[object]]:
    """What a child process that hardened itself tells of itself."""
    command = [sys.executable, "-c", CHILD, json.dumps(environment), str(swaps), str(memlock)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    result: dict[str, list[object]] = json.loads(done.stdout)
    return result


def test_a_hardened_process_leaves_no_core_and_reports_what_stays_open(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type\n/dev/sda2 partition\n")
    told = hardened({}, swaps)
    assert told["core"] == [0, 0]
    assert told["unprotected"] == [
        "memory can be written to swap: the memlock limit is finite",
        "freed memory keeps its content until it is reused",
    ]


def test_with_no_swap_and_a_wiping_allocator_nothing_stays_open(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type\n")
    assert hardened(WIPING, swaps)["unprotected"] == []


def test_what_cannot_be_known_counts_as_open(tmp_path: Path) -> None:
    told = hardened(WIPING, tmp_path / "missing")
    assert told["unprotected"] == ["memory can be written to swap: the memlock limit is finite"]


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY,
    reason="this machine does not let memory be locked",
)
def test_memory_that_may_be_locked_is_locked_where_there_is_swap(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type\n/dev/sda2 partition\n")
    assert hardened(WIPING, swaps, resource.RLIM_INFINITY)["unprotected"] == []


@pytest.mark.parametrize(
    "lacking",
    [
        WIPING | {"PYTHONMALLOC": "pymalloc"},
        WIPING | {"GLIBC_TUNABLES": "glibc.malloc.perturb=165"},
        WIPING | {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"},
        {},
    ],
)
def test_memory_is_wiped_only_by_malloc_with_its_caches_off(lacking: dict[str, str]) -> None:
    assert wipes_freed(WIPING)
    assert not wipes_freed(lacking)
