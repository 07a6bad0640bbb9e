"""docs/reference/errors.md: the tree of errors, every problem code, and what a failed run says."""

import importlib
import inspect
from collections.abc import Iterator
from itertools import groupby

from docs.makers.markdown import code, page, table
from docs.makers.raises import modules, problems_of
from durablegraph import errors
from durablegraph.api.resources import Problem
from durablegraph.api.routes import ROUTES
from durablegraph.errors import DurableGraphError, RequestError, TransientError

INTRODUCTION = """\
Whatever goes wrong with a request is answered as `application/problem+json` (RFC 9457). `detail` says what was found,
what was expected and what to do; `code` is the word for programs and does not change. A problem that clears by itself
carries `Retry-After` and `"retryable": true`. A 5xx carries a correlation id in `detail`, under which the log has the
exception; its own text is not sent."""

FACTS = """\
Some problems have further members: `available` (graphs that exist), `active_run` (who holds the thread), `interrupts`
(ids that wait), `errors` (a list of `{"field", "problem"}`)."""

RUNS = """\
## A run that failed

A node's exception is no problem of a request: the run ends with status `failed`, and `GET /api/runs/{run}` shows
`error` with `type` (the exception's class), `message` (its text, or a fixed sentence when `DURABLEGRAPH_SHOW_ERRORS`
is false) and `node`. Besides a node's own exceptions `type` can be:

| `error.type` | what it means |
|---|---|
| `GraphRecursionError` | the run executed as many super-steps as its `recursion_limit` allows |
| `ConfigurationError` or the exception of the import | the graph could not be loaded in the worker |
| `InstanceFailed` | its Durable instance died more often than `DURABLEGRAPH_MAX_REVIVALS` allows |"""


def errors_page() -> str:
    """The page."""
    return page(
        "Errors",
        INTRODUCTION,
        table(["member", "type"], _members()),
        FACTS,
        "## Codes of refused requests",
        table(["code", "status", "detail says, for example"], _codes()),
        "## Codes of requests that failed on this side",
        table(["code", "status", "meaning"], _server_codes()),
        RUNS,
        "## The tree in Python",
        f"```text\n{_tree()}\n```",
    )


def _members() -> Iterator[tuple[str, str]]:
    for name, field in Problem.model_fields.items():
        annotation = field.annotation
        shown = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        yield code(name), shown + ("" if field.is_required() else ", left out when there is none")


def _codes() -> Iterator[tuple[str, str, str]]:
    found = problems_of(*((route.handler.__module__, route.handler.__name__) for route in ROUTES))
    for (name, status), group in groupby(found, key=lambda problem: (problem.code, problem.status)):
        messages = dict.fromkeys(problem.message for problem in group)
        yield code(name), str(status), "<br>".join(messages)


def _server_codes() -> Iterator[tuple[str, str, str]]:
    for module in modules():
        importlib.import_module(module)
    for kind in sorted(_subclasses(DurableGraphError), key=lambda item: item.code):
        if not issubclass(kind, RequestError | errors.RunError) and kind is not DurableGraphError:
            status = 503 if issubclass(kind, TransientError) else 500
            yield code(kind.code), str(status), (inspect.getdoc(kind) or "").partition("\n\n")[0]
    yield code("internal"), "500", "An exception of any other class."


def _subclasses(kind: type[DurableGraphError]) -> Iterator[type[DurableGraphError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def _tree() -> str:
    return inspect.cleandoc((errors.__doc__ or "").partition("::")[2].partition("A message says")[0])
