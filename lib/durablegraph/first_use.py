"""Names of a package that are imported when they are first asked for (PEP 562), so that importing it costs little."""

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module


def on_first_use(package: str, places: Mapping[str, Collection[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose modules, by their names below it, have these names."""

    def find(name: str) -> object:
        for module, names in places.items():
            if name in names:
                found: object = getattr(import_module(f"{package}.{module}"), name)
                setattr(sys.modules[package], name, found)
                return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
