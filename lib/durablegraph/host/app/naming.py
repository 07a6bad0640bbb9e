"""The host's own rules for a function: broken ones disable that function only, with the real host's text.

Source: the host's function metadata validation (host 4.1037).
"""

import re
from collections.abc import Iterable, Sequence

from durablegraph.host.invocation import Binding

SUPPORTED_TRIGGERS = {
    "httptrigger": "http",
    "orchestrationtrigger": "orchestrator",
    "activitytrigger": "activity",
    "entitytrigger": "entity",
    "timertrigger": "timer",
}
_SUPPORTED_OTHERS = {"http", "durableclient", "orchestrationclient"}
_FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,127}", re.IGNORECASE)
_BINDING_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9]{0,127}|\$return")
_BUILT_IN_ROUTES = ("admin", "runtime")


def function_error(name: str, bindings: Sequence[Binding]) -> str | None:
    """Why the host would not load this function, or None."""
    if not _FUNCTION_NAME.fullmatch(name) or name.lower() == "host":
        return f"'{name}' is not a valid function name."
    return _binding_name_error(bindings) or _support_error(bindings) or _trigger_error(bindings)


def route_error(route: str) -> str | None:
    """Why the host would not serve this route, or None."""
    if route.lstrip("/").lower().startswith(_BUILT_IN_ROUTES):
        return "The specified route conflicts with one or more built in routes."
    return None


def _binding_name_error(bindings: Iterable[Binding]) -> str | None:
    seen: set[str] = set()
    for binding in bindings:
        if not _BINDING_NAME.fullmatch(binding.name):
            return f"The binding name {binding.name} is invalid. Please assign a valid name to the binding."
        if binding.name.lower() in seen:
            return f"Multiple bindings with name '{binding.name}' discovered. Binding names must be unique."
        seen.add(binding.name.lower())
    return None


def _support_error(bindings: Iterable[Binding]) -> str | None:
    for binding in bindings:
        kind = binding.type.lower()
        if kind not in SUPPORTED_TRIGGERS and kind not in _SUPPORTED_OTHERS:
            return (
                f"The binding type '{binding.type}' needs an extension that this host does not have; it runs HTTP, "
                "timer, orchestration, activity and entity triggers with durable clients. "
                "Run this function on the Azure Functions host."
            )
    return None


def _trigger_error(bindings: Iterable[Binding]) -> str | None:
    for binding in bindings:
        kind = binding.type.lower()
        if kind == "httptrigger":
            return route_error(str(binding.settings.get("route") or ""))
        if kind == "orchestrationtrigger" and str(binding.settings.get("orchestration") or "").startswith("@"):
            return "Orchestration names must not start with @."
    return None
