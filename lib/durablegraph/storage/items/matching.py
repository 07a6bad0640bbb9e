"""Which items a filter lets through, and which namespaces a condition does; LangGraph's rules."""

from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from langgraph.store.base import ListNamespacesOp, MatchCondition

from durablegraph.storage.items.names import Namespace

_ANY: Final = "*"


def _ordered(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    """Numbers, and texts that are numbers, by size; other texts by code points; nothing else has an order."""
    try:
        return compare(float(value), float(wanted))
    except (TypeError, ValueError, OverflowError):
        return isinstance(value, str) and isinstance(wanted, str) and compare(value, wanted)


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": eq,
    "$ne": ne,
    "$gt": lambda value, wanted: _ordered(gt, value, wanted),
    "$gte": lambda value, wanted: _ordered(ge, value, wanted),
    "$lt": lambda value, wanted: _ordered(lt, value, wanted),
    "$lte": lambda value, wanted: _ordered(le, value, wanted),
}


def check_filter(wanted: Any) -> None:
    """Raise ValueError, as LangGraph's stores do, for an operator that does not exist."""
    if isinstance(wanted, Mapping):
        if _has_operators(wanted):
            for operator in wanted:
                if operator not in _OPERATORS:
                    known = ", ".join(_OPERATORS)
                    raise ValueError(f"Unsupported operator: {operator!r}; expected one of {known}")
            return
        for part in wanted.values():
            check_filter(part)
    elif isinstance(wanted, list | tuple):
        for part in wanted:
            check_filter(part)


def matches(value: Any, wanted: Mapping[str, Any] | None) -> bool:
    """Whether an item's value passes a filter that `check_filter` has seen.

    A field that is missing counts as None, and a value that is not an object as one without fields.
    """
    fields = value if isinstance(value, Mapping) else {}
    return all(_passes(fields.get(name), part) for name, part in (wanted or {}).items())


def _passes(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if _has_operators(wanted):
            return all(_OPERATORS[operator](value, operand) for operator, operand in wanted.items())
        return isinstance(value, Mapping) and all(_passes(value.get(name), part) for name, part in wanted.items())
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_passes(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _has_operators(wanted: Mapping[str, Any]) -> bool:
    return any(isinstance(name, str) and name.startswith("$") for name in wanted)


def select_namespaces(namespaces: set[Namespace], op: ListNamespacesOp) -> list[Namespace]:
    """The page of namespaces, sorted, that `op` asks for; raises ValueError for an unknown kind of condition."""
    conditions = op.match_conditions or ()
    chosen = {namespace for namespace in namespaces if all(_fits(namespace, condition) for condition in conditions)}
    if op.max_depth is not None:
        chosen = {namespace[: op.max_depth] for namespace in chosen}
    return sorted(chosen)[op.offset : op.offset + op.limit]


def common_prefix(conditions: Sequence[MatchCondition] | None) -> Namespace:
    """The longest prefix that namespaces must have to fit all conditions, as far as it has no wildcard."""
    prefixes = [_literal(condition.path) for condition in conditions or () if condition.match_type == "prefix"]
    return max(prefixes, key=len, default=())


def _literal(path: Sequence[str]) -> Namespace:
    labels = list(path)
    return tuple(labels[: labels.index(_ANY)] if _ANY in labels else labels)


def _fits(namespace: Namespace, condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    match condition.match_type:
        case "prefix":
            labels = namespace[: len(path)]
        case "suffix":
            labels = namespace[len(namespace) - len(path) :]
        case unknown:
            raise ValueError(f"Unsupported match type: {unknown!r}; expected 'prefix' or 'suffix'")
    return all(wanted in (_ANY, label) for label, wanted in zip(labels, path, strict=True))
