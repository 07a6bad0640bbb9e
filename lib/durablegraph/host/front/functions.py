"""The table of HTTP functions: which one a request is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from durablegraph.host.front.routes import Route, RouteTemplateError, compile_route
from durablegraph.host.invocation import FunctionIndex, FunctionInfo


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """One HTTP function with its compiled route; no methods means all of them."""

    function: FunctionInfo
    route: Route
    methods: frozenset[str]

    @property
    def level(self) -> str:
        """The trigger's authentication level."""
        return str(self.function.trigger.settings.get("authLevel") or "FUNCTION")


class FunctionTable:
    """HTTP functions by route, the more specific first; `errors` names those whose template cannot be served."""

    def __init__(self, index: FunctionIndex, prefix: str) -> None:
        functions: list[HttpFunction] = []
        errors: dict[str, str] = {}
        for function in index.functions:
            if function.kind != "http":
                continue
            try:
                functions.append(_compile(function, prefix))
            except RouteTemplateError as error:
                errors[function.name] = str(error)
        self.functions: Sequence[HttpFunction] = sorted(functions, key=lambda each: each.route.precedence)
        self.errors: Mapping[str, str] = errors

    def find(self, method: str, path: str) -> tuple[HttpFunction, dict[str, str]] | None:
        """The function for this request and its route parameters. A wrong method finds nothing, as no route does."""
        for each in self.functions:
            if each.methods and method not in each.methods:
                continue
            if (values := each.route.match(path)) is not None:
                return each, values
        return None


def _compile(function: FunctionInfo, prefix: str) -> HttpFunction:
    settings = function.trigger.settings
    route = str(settings.get("route") or function.name).strip("/")
    return HttpFunction(
        function,
        compile_route(f"{prefix}/{route}" if prefix else route),
        frozenset(str(method).upper() for method in settings.get("methods") or ()),
    )
