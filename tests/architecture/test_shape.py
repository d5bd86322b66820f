"""The shape of the house: sizes of functions and modules, where secrets are opened, who sleeps."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "sipis").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ROOMS = sorted(p.parent for p in (ROOT / "sipis").glob("*/__init__.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = (first.end_lineno or 0) - first.lineno + 1 if text else 0
    return (function.end_lineno or 0) - function.lineno + 1 - documented


def test_no_function_is_longer_than_sixty_lines() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name} {length(f)}"
        for path in MODULES
        for f in functions(path)
        if length(f) > 60
    ]
    assert not too_long


def test_nine_functions_in_ten_are_shorter_than_thirty_lines_and_half_than_ten() -> None:
    lengths = sorted(length(f) for path in MODULES for f in functions(path))
    assert lengths[int(len(lengths) * 0.9)] < 30
    assert statistics.median(lengths) < 10


def test_no_module_is_longer_than_five_hundred_lines() -> None:
    sizes = {str(p.relative_to(ROOT)): p.read_text().count("\n") for p in MODULES}
    assert not {path: size for path, size in sizes.items() if size > 500}


def test_secrets_are_revealed_inside_the_vault_only() -> None:
    inside = {"secret.py"}
    revealing = {
        str(path.relative_to(ROOT / "sipis"))
        for path in MODULES
        if ".reveal(" in path.read_text()
        and path.relative_to(ROOT / "sipis").parts[0] not in {"vault", *inside}
    }
    assert not revealing


def test_only_supervisors_and_task_groups_start_tasks() -> None:
    loose = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if "asyncio.create_task(" in path.read_text() or "ensure_future(" in path.read_text()
    ]
    assert not loose


def test_tests_never_sleep() -> None:
    sleeping = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in TESTS
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _sleeps(call)
    ]
    assert not sleeping


def _sleeps(call: ast.Call) -> bool:
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr == "sleep"):
        return False
    if not (isinstance(function.value, ast.Name) and function.value.id in {"time", "asyncio"}):
        return False
    return not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.name))
def test_every_room_says_what_it_is_for_and_what_it_refuses(room: Path) -> None:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    assert "refuses" in text.lower()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
