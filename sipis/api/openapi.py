"""The OpenAPI 3.1 document, generated from the table of operations and the models."""

import re
from collections.abc import Iterable

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sipis import __version__
from sipis.api import problems
from sipis.api.operations import OPERATIONS, Operation

_REF = "#/components/schemas/{model}"
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "app key": [{"appKey": []}],
    "instance secret": [{"instanceSecret": []}],
    "none": [],
}


def document() -> dict[str, object]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sipis app API",
            "version": __version__,
            "license": {"name": "Apache-2.0"},
        },
        "paths": _paths(OPERATIONS),
        "components": {
            "schemas": _schemas(OPERATIONS) | {"Problem": _PROBLEM},
            "securitySchemes": {
                "appKey": {"type": "http", "scheme": "bearer"},
                "instanceSecret": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _paths(operations: Iterable[Operation]) -> dict[str, dict[str, object]]:
    paths: dict[str, dict[str, object]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return paths


def _described(operation: Operation) -> dict[str, object]:
    description: dict[str, object] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": _SECURITY[operation.auth],
        "parameters": [_parameter(name) for name in re.findall(r"{(\w+)}", operation.path)],
        "responses": {
            str(operation.status): _success(operation),
            "default": {
                "description": "A problem document (RFC 9457)",
                "content": {problems.CONTENT_TYPE: {"schema": _ref("Problem")}},
            },
        },
    }
    if operation.body is not None:
        description["requestBody"] = {
            "required": operation.body.__name__ in {"CreateBody", "ReplaceBody", "VerifyBody"},
            "content": {"application/json": {"schema": _ref(operation.body.__name__)}},
        }
    return description


def _success(operation: Operation) -> dict[str, object]:
    if operation.status == 204:
        return {"description": "Done"}
    plain = {"type": "object" if operation.media == "application/json" else "string"}
    schema = _ref(operation.answer.__name__) if operation.answer else plain
    return {"description": "Done", "content": {operation.media: {"schema": schema}}}


def _parameter(name: str) -> dict[str, object]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _ref(model: str) -> dict[str, object]:
    return {"$ref": _REF.format(model=model)}


def _schemas(operations: Iterable[Operation]) -> dict[str, object]:
    used: dict[type[BaseModel], None] = {}
    for operation in operations:
        for model in (operation.body, operation.answer):
            if model is not None:
                used[model] = None
    _, definitions = models_json_schema(
        [(model, "validation") for model in used], ref_template=_REF
    )
    schemas: dict[str, object] = definitions["$defs"]
    return schemas


_PROBLEM: dict[str, object] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"enum": [problems.TYPE_PREFIX + kind.name for kind in problems.KINDS]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "dotted path of the field that is wrong"},
    },
}
