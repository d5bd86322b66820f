"""Pages that follow from the code, and names in pages that must exist in the code."""

import ast
import re
from pathlib import Path

from sipis.observe.metrics import Metrics
from tools import machines

TESTS = Path(__file__).parents[1]
OPERATIONS = TESTS.parent / "docs" / "operations.md"
CONFORMANCE = TESTS.parent / "docs" / "conformance.md"


def test_the_page_of_the_machines_is_what_the_tables_say() -> None:
    assert machines.PLACE.read_text() == machines.document(), "stale: run `make docs`"


def test_every_state_of_every_diagram_has_a_name_that_mermaid_can_read() -> None:
    arrows = [line.split() for line in machines.document().splitlines() if " --> " in line]
    assert len(arrows) > 50
    assert all(old.isidentifier() and new.isidentifier() for old, _, new, *_ in arrows)


def test_every_test_that_the_page_of_conformance_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", CONFORMANCE.read_text())
    assert len(named) > 40
    functions = {path: functions_of(TESTS / path) for path, _ in named}
    assert not [(path, name) for path, name in named if name not in functions[path]]


def test_every_metric_is_described_to_operators() -> None:
    told = OPERATIONS.read_text()
    assert [name for name in Metrics()._made if f"`{name}`" not in told] == []


def functions_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
