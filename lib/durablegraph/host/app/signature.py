"""The worker's rules for a function's parameters and annotations, with its own texts.

Source: the Python worker 4.34.0. A function that breaks one aborts the indexing of the whole app.
"""

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import azure.functions

from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import Binding

_NOT_GENERIC = (typing.Union, types.UnionType, tuple, typing.ClassVar, collections.abc.Callable)


class FunctionLoadError(AppLoadError):
    """A function whose Python signature does not fit its bindings."""

    def __init__(self, function: str, text: str) -> None:
        super().__init__(f"FunctionLoadError: cannot load the {function} function: {text}")


@dataclass(frozen=True, slots=True)
class Signature:
    """How to call a function: converters by parameter, and what its return value becomes."""

    inputs: Mapping[str, str]
    returns: str | None
    wants_context: bool
    is_async: bool


class GenericConverter:
    """What the worker takes for a binding type without a converter of its own."""

    @staticmethod
    def check_input_type_annotation(pytype: type) -> bool:
        """Text and bytes are all it knows."""
        return issubclass(pytype, (str, bytes))

    @staticmethod
    def decode(data: Any, *, trigger_metadata: Any) -> Any:
        """The value as it came."""
        del trigger_metadata
        return data.value

    @staticmethod
    def has_implicit_output() -> bool:
        """Triggers of unknown kind may return a value."""
        return True


def converter(binding_type: str) -> Any:
    """The converter class that azure-functions registered for this binding type."""
    return azure.functions.get_binding_registry().get(binding_type) or GenericConverter


def has_implicit_output(binding_type: str) -> bool:
    """Whether a function with this trigger may return a value without an output binding."""
    return bool(getattr(converter(binding_type), "has_implicit_output", lambda: False)())


def read_signature(name: str, function: Callable[..., Any], bindings: Sequence[Binding]) -> Signature:
    """Check the function against its bindings. Raises FunctionLoadError, or what resolving annotations raises."""
    parameters = list(inspect.signature(function).parameters)
    annotations = typing.get_type_hints(function)
    bound = {binding.name: binding for binding in bindings if binding.name != "$return"}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.remove("context")
        _check_context(name, annotations)
    _check_names(name, set(parameters), set(bound))
    return Signature(
        inputs={each: _input_type(name, bound[each], annotations) for each in parameters},
        returns=_return_type(name, bindings, annotations),
        wants_context=wants_context,
        is_async=inspect.iscoroutinefunction(function),
    )


def is_generic_type(annotation: Any) -> bool:
    """Whether the worker sees a generic type: ``typing.List[int]`` is one, ``list[int]`` and unions are not."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, typing.Generic)
    if isinstance(annotation, types.GenericAlias | types.UnionType):
        return False
    origin = typing.get_origin(annotation)
    return origin is not None and origin not in _NOT_GENERIC


def _check_context(name: str, annotations: Mapping[str, Any]) -> None:
    if "context" not in annotations:
        return
    annotation = annotations["context"]
    if not isinstance(annotation, type) or annotation.__name__ != "Context":
        raise FunctionLoadError(
            name,
            f'the "context" parameter is expected to be of type azure.functions.Context, got {annotation!r}',
        )


def _check_names(name: str, declared: set[str], bound: set[str]) -> None:
    if extra := declared - bound:
        raise FunctionLoadError(
            name,
            f"the following parameters are declared in Python but not in function.json: {extra!r}",
        )
    if missing := bound - declared:
        raise FunctionLoadError(
            name,
            f"the following parameters are declared in function.json but not in Python: {missing!r}",
        )


def _input_type(name: str, binding: Binding, annotations: Mapping[str, Any]) -> str:
    """The binding type by which the parameter's value is converted."""
    if binding.name not in annotations:
        return binding.type
    annotation = annotations[binding.name]
    if not isinstance(annotation, type) and not is_generic_type(annotation):
        raise FunctionLoadError(name, f"binding {binding.name} has invalid non-type annotation {annotation!r}")
    as_text = annotation in {str, bytes} and not has_implicit_output(binding.type)
    kind = "generic" if as_text else binding.type
    if not converter(kind).check_input_type_annotation(annotation):
        shown = getattr(annotation, "__name__", repr(annotation))
        raise FunctionLoadError(
            name,
            f'type of {binding.name} binding in function.json "{binding.type}" '
            f'does not match its Python annotation "{shown}"',
        )
    return kind


def _return_type(name: str, bindings: Sequence[Binding], annotations: Mapping[str, Any]) -> str | None:
    explicit = next((each.type for each in bindings if each.name == "$return"), None)
    if explicit is None:
        return next((each.type for each in bindings if has_implicit_output(each.type)), None)
    if "return" in annotations:
        _check_return(name, explicit, annotations["return"])
    return explicit


def _check_return(name: str, binding_type: str, annotation: Any) -> None:
    if not isinstance(annotation, type) or isinstance(annotation, types.GenericAlias):
        raise FunctionLoadError(name, f"has invalid non-type return annotation {annotation!r}")
    if not converter(binding_type).check_output_type_annotation(annotation):
        raise FunctionLoadError(
            name,
            f'Python return annotation "{annotation.__name__}" does not match binding type "{binding_type}"',
        )
