"""The OpenAPI 3.1 document of the route table."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from durablegraph.api.resources import Problem

if TYPE_CHECKING:
    from durablegraph.api.routes import Route

_REF = "#/components/schemas/{model}"


def document(routes: "Sequence[Route]", base: str) -> dict[str, Any]:
    """The document for the app at `base` (scheme, host and route prefix)."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/{route.template}", {})[route.method.lower()] = _operation(route)
    _, schemas = models_json_schema([(model, "validation") for model in _models(routes)], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "durablegraph", "version": "1", "description": "Durable runs of LangGraph graphs."},
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-functions-key"}},
        },
    }


def _models(routes: "Sequence[Route]") -> list[type[BaseModel]]:
    named: dict[str, type[BaseModel]] = {Problem.__name__: Problem}
    for route in routes:
        for model in (route.takes, *route.answers.values()):
            if isinstance(model, type):
                named[model.__name__] = model
    return [named[name] for name in sorted(named)]


def _operation(route: "Route") -> dict[str, Any]:
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _names(route)),
        *(_optional(name, "query", text) for name, text in route.query.items()),
        *(_optional(name, "header", text) for name, text in route.headers.items()),
    ]
    answers = {str(status): _answer(model) for status, model in route.answers.items()}
    problem = {"description": "A problem", "content": {"application/problem+json": {"schema": _schema(Problem)}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters,
        "responses": {**answers, "default": problem},
        "security": [] if route.level == "anonymous" else [{"key": []}],
    }
    if route.takes is not None:
        schema = _schema(route.takes) if isinstance(route.takes, type) else {}
        operation["requestBody"] = {
            "required": route.takes == "json",
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _answer(model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return {"description": "Done"}
    return {"description": model.__doc__ or "", "content": {"application/json": {"schema": _schema(model)}}}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _names(route: "Route") -> list[str]:
    return re.findall(r"\{(\w+)\}", route.template)


def _optional(name: str, where: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": False, "description": text, "schema": {"type": "string"}}
