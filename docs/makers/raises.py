"""Which problems the code can answer with, read from its source: nothing is listed by hand."""

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import durablegraph
from durablegraph import errors

PACKAGE = "durablegraph"
READ = ("api", "execution", "graphs", "model", "storage")
"""Folders whose code runs while a request is answered."""

Where = tuple[str, str]
"""Module and function."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One way a request can be refused. `message` is the text with its variable parts in braces."""

    code: str
    status: int
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Function:
    """What a function raises itself, and which of our functions it mentions."""

    raises: tuple[Problem, ...]
    calls: frozenset[Where]


def problems_of(*places: Where) -> list[Problem]:
    """Every refusal that functions, or any of ours that they reach by name, can raise; by code."""
    functions = _functions()
    seen: set[Where] = set()
    todo = list(places)
    found: set[Problem] = set()
    while todo:
        place = todo.pop()
        if place in seen or place not in functions:
            continue
        seen.add(place)
        found.update(functions[place].raises)
        todo.extend(functions[place].calls)
    return sorted(found)


def modules() -> dict[str, Path]:
    """The modules that are read, by name."""
    root = Path(durablegraph.__file__).parent
    paths = sorted(path for folder in READ for path in (root / folder).rglob("*.py"))
    return {".".join((PACKAGE, *path.relative_to(root).with_suffix("").parts)): path for path in paths}


@functools.cache
def _functions() -> dict[Where, Function]:
    found: dict[Where, Function] = {}
    for module, path in modules().items():
        found.update(_module(module, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _module(module: str, tree: ast.Module) -> Iterator[tuple[Where, Function]]:
    imported = dict(_imported(tree))
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            raised = tuple(_problem(child) for child in ast.walk(node) if _refuses(child))
            yield (module, node.name), Function(raised, frozenset(_calls(node, module, own, imported)))


def _imported(tree: ast.Module) -> Iterator[tuple[str, Where]]:
    """Local name -> (module, name) for everything that is imported from the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for alias in node.names:
                yield alias.asname or alias.name, (node.module or "", alias.name)


def _calls(node: ast.AST, module: str, own: set[str], imported: Mapping[str, Where]) -> Iterator[Where]:
    caught = {id(inner) for child in ast.walk(node) for inner in _caught(child)}
    for child in ast.walk(node):
        if id(child) in caught:
            continue
        match child:
            case ast.Name(id=name) if name in own:
                yield module, name
            case ast.Name(id=name) if name in imported:
                yield imported[name]
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in imported:
                parent, leaf = imported[name]
                yield f"{parent}.{leaf}", attribute


def _caught(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a `try` whose handler takes a refusal and raises nothing itself: no caller hears of it."""
    if not isinstance(node, ast.Try):
        return
    for handler in node.handlers:
        match handler.type:
            case ast.Name(id=name) if not any(isinstance(child, ast.Raise) for child in ast.walk(handler)):
                kind = getattr(errors, name, None)
                if isinstance(kind, type) and issubclass(kind, errors.RequestError):
                    yield from (inner for statement in node.body for inner in ast.walk(statement))


def _refuses(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) and _refusal(node) is not None


def _refusal(node: ast.Raise) -> type[errors.RequestError] | None:
    match node.exc:
        case ast.Call(func=ast.Name(id=name)):
            found = getattr(errors, name, None)
            return found if isinstance(found, type) and issubclass(found, errors.RequestError) else None
    return None


def _problem(node: ast.AST) -> Problem:
    assert isinstance(node, ast.Raise)  # noqa: S101 -- narrows for the type checker: `_refuses` said so
    kind = _refusal(node)
    assert kind is not None  # noqa: S101 -- as above
    assert isinstance(node.exc, ast.Call)  # noqa: S101 -- as above
    given = {word.arg: word.value.value for word in node.exc.keywords if isinstance(word.value, ast.Constant)}
    message = _text(node.exc.args[0]) if node.exc.args else ""
    return Problem(str(given.get("code", kind.code)), int(given.get("status", kind.status)), kind.__name__, message)  # type: ignore[arg-type]  # a literal in our own source


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.FormattedValue(value=value):
            return f"{{{_short(value)}}}"
        case _:
            return f"{{{_short(node)}}}"


def _short(node: ast.expr) -> str:
    """The name that says most about an expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr="value" | "__name__"):
            return _short(value)
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value) | ast.Call(args=[value, *_]):
            return _short(value)
        case _:
            return "…"
