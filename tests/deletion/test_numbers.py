"""The table of requirements in docs/deletion.md and the tests that carry their numbers agree."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "deletion.md"
LAST = {"D": 26, "L": 12, "K": 12}
WITHOUT_A_TEST = {"D12"}
"""The thief against PostgreSQL: there is none."""

NUMBERED = re.compile(r"test_((?:[dlk]\d+_)+)")
ROW = re.compile(r"^\| ([DLK]\d+) \|(.*)$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")

Named = set[tuple[str, str, str]]
"""Number, file and function of a test."""


def in_the_page() -> Named:
    rows = ROW.findall(PAGE.read_text())
    return {(number, *test) for number, row in rows for test in NAMED.findall(row)}


def in_the_tests() -> Named:
    return {
        (number.upper(), str(path.relative_to(TESTS)), function.name)
        for path in TESTS.rglob("test_*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        if (numbers := NUMBERED.match(function.name))
        for number in numbers[1].strip("_").split("_")
    }


def test_every_requirement_has_a_row_with_a_test() -> None:
    numbers = {f"{kind}{i}" for kind, last in LAST.items() for i in range(1, last + 1)}
    assert {number for number, *_ in in_the_page()} == numbers - WITHOUT_A_TEST


def test_every_test_that_the_page_names_exists_and_carries_the_number() -> None:
    assert in_the_page() - in_the_tests() == set()


def test_every_test_that_carries_a_number_is_in_its_row() -> None:
    assert in_the_tests() - in_the_page() == set()
