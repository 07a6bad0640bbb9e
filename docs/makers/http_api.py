"""docs/reference/http-api.md: every route of the table, its parameters, bodies, answers and problems."""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from docs.makers.markdown import code, page, table
from docs.makers.raises import problems_of
from durablegraph.api.routes import ROUTES, Route
from durablegraph.model.status import TRANSITIONS, RunStatus, durable_status

PATHS = {
    "graph": "A graph's name in `langgraph.json`.",
    "run": "The run's id.",
    "event": "`resume` or `approval`.",
    "thread": "The thread's id.",
    "schedule": "The schedule's id.",
}
"""What the parameters in paths are."""

INTRODUCTION = """\
All routes are below the host's prefix, `/api` (`extensions.http.routePrefix` of `host.json`). Level `function` needs a
function key in `x-functions-key` or `?code=`; `durablegraph dev` asks for none unless it runs with `--enable-auth`.
Bodies are JSON. `GET /api/openapi.json` is this page for programs. Refusals: [errors](errors.md).

Any request with a body can be refused with `invalid_request` (no JSON 400; too deep, too many values 422) and
`too_large` (413), and every request with the codes of a server's fault, 500 and 503."""

STATUSES = """\
## Statuses of a run

`status` is ours; `runtimeStatus` (of `/status` only) is what pollers of Durable's protocol understand. A run that is
held shows `runtimeStatus` `Suspended`."""


def http_api_page() -> str:
    """The page."""
    return page(
        "HTTP API",
        INTRODUCTION,
        table(["", "", ""], _index()),
        *(_route(route) for route in ROUTES),
        STATUSES,
        table(["status", "runtimeStatus", "may become"], _statuses()),
        "## Bodies",
        *(_model(model) for model in _models()),
    )


def _index() -> Iterator[tuple[str, str, str]]:
    for route in ROUTES:
        yield route.method, f"[`/api/{route.template}`](#{_anchor(route)})", route.summary


def _heading(route: Route) -> str:
    return route.name


def _anchor(route: Route) -> str:
    return _heading(route).lower().replace(" ", "-")


def _route(route: Route) -> str:
    blocks = [
        f"## {_heading(route)}",
        f"`{route.method} /api/{route.template}` · {route.summary}. Level `{route.level}`.",
        table(["parameter", "in", "meaning"], _parameters(route)),
        _body(route),
        table(["status", "body"], [(str(status), _named(model)) for status, model in route.answers.items()]),
        _problems(route),
    ]
    return "\n\n".join(block for block in blocks if block)


def _parameters(route: Route) -> Iterator[tuple[str, str, str]]:
    for name in re.findall(r"\{(\w+)\}", route.template):
        yield code(name), "path", PATHS.get(name, "")
    for where, given in (("query", route.query), ("header", route.headers)):
        for name, text in given.items():
            yield code(name), where, text


def _body(route: Route) -> str:
    if route.takes is None:
        return ""
    return f"Body: {'any JSON' if route.takes == 'json' else _named(route.takes)}."


def _named(model: Any) -> str:
    return f"[{model.__name__}](#{model.__name__.lower()})" if isinstance(model, type) else "no body of a fixed form"


def _problems(route: Route) -> str:
    found = problems_of((route.handler.__module__, route.handler.__name__))
    codes = dict.fromkeys((item.code, item.status) for item in found if item.code != "invalid_request")
    if not codes:
        return ""
    told = ", ".join(f"`{name}` ({status})" for name, status in codes)
    return f"Problems: {told}."


def _statuses() -> Iterator[tuple[str, str, str]]:
    for status in RunStatus:
        after = ", ".join(code(item.value) for item in RunStatus if item in TRANSITIONS.get(status, ()))
        yield code(status.value), code(durable_status(status)), after or "nothing: the run has ended"


def _models() -> list[type[BaseModel]]:
    """The models of all bodies and those inside them, in the order in which they are met."""
    met: dict[str, type[BaseModel]] = {}
    todo = [model for route in ROUTES for model in (route.takes, *route.answers.values()) if isinstance(model, type)]
    while todo:
        model = todo.pop(0)
        if model.__name__ not in met:
            met[model.__name__] = model
            todo += [inner for field in model.model_fields.values() for inner in _inside(field.annotation)]
    return list(met.values())


def _inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _inside(part)


def _model(model: type[BaseModel]) -> str:
    rows = [
        (code(name), _type(field.annotation), "yes" if field.is_required() else "", field.description or "")
        for name, field in model.model_fields.items()
    ]
    return f"### {model.__name__}\n\n{model.__doc__}\n\n" + table(["member", "type", "always", "meaning"], rows)


_WORDS = {
    Any: "any JSON",
    dict: "object",
    str: "text",
    int: "whole number",
    bool: "true or false",
    type(None): "null",
    AwareDatetime: "time with its offset",
}


def _type(annotation: Any) -> str:
    """A type in JSON's words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is Literal:
        return " or ".join(f'`"{item}"`' for item in arguments)
    if arguments and origin is not dict:
        return " or ".join(_type(part) for part in arguments)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _named(annotation)
    return _WORDS.get(origin or annotation) or str(getattr(annotation, "__name__", annotation))
