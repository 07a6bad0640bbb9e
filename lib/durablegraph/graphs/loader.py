"""Makes a compiled graph of what ``langgraph.json`` or the app's code names."""

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from durablegraph.errors import ConfigurationError, DurableGraphError, TransientError
from durablegraph.graphs.internals import Graph
from durablegraph.graphs.sources import Source

ACCEPTED = (
    "a compiled graph, a StateGraph, an @entrypoint, or a function that returns one of these "
    "(sync or async, taking nothing or the config, or an (async) context manager)"
)


def imported(what: str, source: Source, folder: Path) -> Any:
    """The object that a source names. Raises ConfigurationError that says which file and attribute, and what to do.

    `what` is what it is to be, as messages call it (``graph 'agent'``).
    """
    where = f"{what} ({source.place}:{source.attribute})"
    found: Any = _module(where, source, folder)
    for part in source.attribute.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(
                f"{where}: {getattr(found, '__file__', found)} has no {part!r}.{_candidates(found)} "
                "Correct langgraph.json or the file."
            )
        found = getattr(found, part)
    return found


def _module(where: str, source: Source, folder: Path) -> ModuleType:
    try:
        if _is_path(source.place):
            return _from_file(_existing(where, folder / source.place), folder)
        return importlib.import_module(source.place)
    except ConfigurationError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{where}: importing it failed, because there is no module named {error.name!r}{_line_of(error, folder)}. "
            f"Install the package that has it (and add it to your requirements), or correct the name."
        ) from error
    except SyntaxError as error:
        raise ConfigurationError(
            f"{where}: {error.filename}, line {error.lineno}: {error.msg}. Correct the file."
        ) from error
    except Exception as error:  # whatever a user's module does when it is imported
        raise ConfigurationError(
            f"{where}: importing it raised {type(error).__name__}: {error}{_line_of(error, folder)}. "
            "A module must be importable without side effects that can fail: check it with `python -c 'import …'`."
        ) from error


def _existing(where: str, file: Path) -> Path:
    if not file.is_file():
        raise ConfigurationError(f"{where}: {file} does not exist. Correct the path in langgraph.json.")
    return file.resolve()


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place


def _from_file(file: Path, folder: Path) -> ModuleType:
    """Import a file under the name that other modules of the app import it by.

    State classes are stored with the name of their module; only a name that every process can import brings them back.
    """
    known = _dotted(file, folder)
    if known is not None:
        spec = importlib.util.find_spec(known) if _importable(known) else None
        if spec is not None and spec.origin and Path(spec.origin).resolve() == file:
            return importlib.import_module(known)
    name = next(name for name in _names(known or file.stem, file) if _is_free(name, file))
    return sys.modules.get(name) or _executed(name, file)


def _names(dotted: str, file: Path) -> tuple[str, ...]:
    """What a file is imported as, in order: by its own name; where another file has that, by a name of no other's."""
    ours = f"durablegraph_app_{dotted.replace('.', '_')}"
    return (dotted, ours, f"{ours}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}")


def _is_free(name: str, file: Path) -> bool:
    module = sys.modules.get(name)
    return module is None or getattr(module, "__file__", None) == str(file)


def _dotted(file: Path, folder: Path) -> str | None:
    if not file.is_relative_to(folder):
        return None
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join(parts) if all(part.isidentifier() for part in parts) else None


def _importable(dotted: str) -> bool:
    """Whether the parent package can be imported, so that looking for the module does not raise."""
    parent = dotted.rpartition(".")[0]
    try:
        return not parent or importlib.util.find_spec(parent) is not None
    except (ImportError, ValueError):
        return False


def _executed(alone: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(alone, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} is not a Python file; expected a path that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alone] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alone]
        raise
    return module


def _line_of(error: BaseException, folder: Path) -> str:
    """Where in the app's own files the error came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _candidates(module: Any) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Pregel | StateGraph)] if module else []
    return f" It has the graphs {', '.join(sorted(names))}." if names else ""


async def compiled(name: str, found: object, stack: AsyncExitStack) -> Graph:
    """The compiled graph that an object stands for; context managers are entered on `stack` and stay open."""
    made = found
    if callable(found) and not isinstance(found, Pregel | StateGraph):
        made = await called(f"graph {name!r}", found, stack)
    if isinstance(made, StateGraph):
        try:
            made = made.compile()
        except ValueError as error:
            raise ConfigurationError(f"graph {name!r}: its StateGraph does not compile: {error}.") from error
    if isinstance(made, Pregel):
        return made
    raise ConfigurationError(f"graph {name!r} is {kind_of(made)}; expected {ACCEPTED}.")


async def called(what: str, factory: Callable[..., Any], stack: AsyncExitStack) -> object:
    """What a factory makes; a context manager is entered on `stack`.

    Raises ConfigurationError for a factory that cannot work, TransientError for one that did not reach a service.
    """
    try:
        made = factory(*_arguments(what, factory))
        if inspect.isawaitable(made):
            made = await made
        return await entered(made, stack)
    except DurableGraphError:
        raise
    except Exception as error:  # whatever a user's factory does
        kind = TransientError if may_pass(error) else ConfigurationError
        raise kind(
            f"{what}: its factory {getattr(factory, '__qualname__', factory)} raised "
            f"{type(error).__name__}: {error}. It is called once per worker, without a caller's config."
        ) from error


async def entered(made: object, stack: AsyncExitStack) -> object:
    """What a context manager gives, entered on `stack`; anything else as it is."""
    if isinstance(made, Pregel | StateGraph | BaseCheckpointSaver):
        return made
    if isinstance(made, AbstractAsyncContextManager):
        return await stack.enter_async_context(made)
    if isinstance(made, AbstractContextManager):
        return stack.enter_context(made)
    return made


def may_pass(error: BaseException) -> bool:
    """Whether this tells of a service that could not be reached: Python's own words for it, and PEP 249's."""
    names = {each.__name__ for each in type(error).__mro__}
    return isinstance(error, ConnectionError | TimeoutError) or bool(names & {"OperationalError", "InterfaceError"})


def _arguments(what: str, factory: Callable[..., Any]) -> list[Any]:
    """What a factory is called with: nothing, or an empty config where it asks for one."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [each for each in parameters if each.default is each.empty and each.kind in positional]
    keyword = [each.name for each in parameters if each.default is each.empty and each.kind is each.KEYWORD_ONLY]
    if len(needed) > 1 or keyword:
        names = [each.name for each in needed] + keyword
        raise ConfigurationError(
            f"{what}: its factory needs the arguments {', '.join(names)}; expected none, or only the config."
        )
    return [{"configurable": {}}] if needed else []


def kind_of(found: object) -> str:
    """What was found where something else was expected, in words."""
    if isinstance(found, type):
        return f"the class {found.__qualname__}"
    return "nothing (None)" if found is None else f"a value of type {type(found).__qualname__}"
