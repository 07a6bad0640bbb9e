"""From the app's function objects to the index that the host works by, and what is needed to call each."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from durablegraph.host.app.loading import app_traceback
from durablegraph.host.app.naming import SUPPORTED_TRIGGERS, function_error
from durablegraph.host.app.signature import Signature, read_signature
from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import Binding, FunctionIndex, FunctionInfo, Kind

_NAME_SETTINGS = {"orchestrator": "orchestration", "activity": "activity", "entity": "entityName"}


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A function that can be called."""

    name: str
    run: Callable[..., Any]
    signature: Signature


@dataclass(frozen=True, slots=True)
class LoadedApp:
    """The index for the host, and the functions by name for the worker."""

    index: FunctionIndex
    functions: Mapping[str, LoadedFunction]


def index_functions(functions: Sequence[Any]) -> LoadedApp:
    """Apply the worker's rules (which abort the whole app by AppLoadError), then the host's (one function each)."""
    loaded = [_load(function) for function in functions]
    infos: list[FunctionInfo] = []
    errors: dict[str, str] = {}
    for function, bindings in loaded:
        text = function_error(function.name, bindings) or _route_conflict(bindings, infos)
        if text is None:
            infos.append(_describe(function, bindings))
        else:
            errors[function.name] = text
    return LoadedApp(
        FunctionIndex(tuple(infos), errors),
        {function.name: function for function, _ in loaded if function.name not in errors},
    )


def parse_bindings(raw: Iterable[str]) -> tuple[Binding, ...]:
    """The bindings of a function from their raw JSON texts."""
    bindings = []
    for text in raw:
        settings = json.loads(text)
        name, kind = settings.pop("name"), settings.pop("type")
        direction = str(settings.pop("direction", "IN")).lower()
        bindings.append(Binding(name, kind, direction, settings))
    return tuple(bindings)


def _load(function: Any) -> tuple[LoadedFunction, tuple[Binding, ...]]:
    name, run = function.get_function_name(), function.get_user_function()
    bindings = parse_bindings(function.get_raw_bindings())
    try:
        signature = read_signature(name, run, bindings)
    except AppLoadError:
        raise
    except Exception as error:
        raise AppLoadError(app_traceback(error)) from error
    return LoadedFunction(name, run, signature), bindings


def _describe(function: LoadedFunction, bindings: tuple[Binding, ...]) -> FunctionInfo:
    trigger = next(binding for binding in bindings if binding.type.lower() in SUPPORTED_TRIGGERS)
    kind = cast("Kind", SUPPORTED_TRIGGERS[trigger.type.lower()])
    given = trigger.settings.get(_NAME_SETTINGS.get(kind, ""))
    return FunctionInfo(
        name=function.name,
        kind=kind,
        durable_name=given or function.name,
        trigger=trigger,
        bindings=bindings,
        is_async=function.signature.is_async,
    )


def _route_conflict(bindings: Iterable[Binding], earlier: Iterable[FunctionInfo]) -> str | None:
    trigger = next((binding for binding in bindings if binding.type.lower() == "httptrigger"), None)
    if trigger is None:
        return None
    for other in earlier:
        if other.kind == "http" and _same_route(trigger, other.trigger):
            return f"The route specified conflicts with the route defined by function '{other.name}'."
    return None


def _same_route(one: Binding, other: Binding) -> bool:
    routes = [str(each.settings.get("route") or "").strip("/").lower() for each in (one, other)]
    methods = [{str(method).lower() for method in each.settings.get("methods") or ()} for each in (one, other)]
    return routes[0] == routes[1] and (not methods[0] or not methods[1] or bool(methods[0] & methods[1]))
