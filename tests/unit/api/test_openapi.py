"""The OpenAPI document is made of the same tables as the server."""

import json
from collections.abc import Iterator

from sipis.api.openapi import document
from sipis.api.operations import OPERATIONS


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def part(value: object, name: str) -> dict[str, object]:
    assert isinstance(value, dict)
    found = value[name]
    assert isinstance(found, dict)
    return found


def test_every_operation_is_described() -> None:
    paths = part(document(), "paths")
    for operation in OPERATIONS:
        assert (
            part(part(paths, operation.path), operation.method.lower())["operationId"]
            == operation.name
        )


def test_every_reference_has_its_schema() -> None:
    schemas = part(part(document(), "components"), "schemas")
    wanted = {name.rpartition("/")[2] for name in references(document())}
    assert wanted <= set(schemas)


def test_the_document_is_json() -> None:
    assert json.loads(json.dumps(document()))["openapi"] == "3.1.0"


def test_operation_names_are_unique() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
