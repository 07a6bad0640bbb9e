"""This process as the app's: its environment, folder, import path and modules, all put back afterwards."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from durablegraph.host.app.loading import enter

_KEPT = ("durablegraph", "tests", "conftest", "test_")
_FOREIGN = {"site-packages", "dist-packages"}
"""Folders below an app's that hold no modules of the app: those of its virtual environment."""


class Premises:
    """What belongs to the test's process and what the app brought in.

    A new life of the app imports its modules anew, as a new process does. Modules that the test had imported before
    stay as they are, so that what the test patched in them stays patched.
    """

    def __init__(self, script: Path, *, own_folder: bool) -> None:
        """`own_folder`: whether the app's folder becomes the current one, as in a host."""
        self._script, self._root, self._own_folder = script, script.parent, own_folder
        self._environment, self._folder, self._path = dict(os.environ), Path.cwd(), list(sys.path)
        self._modules = dict(sys.modules)

    def enter(self, environment: Mapping[str, str]) -> None:
        """Become the app's process; its script and what would hide its modules are forgotten first."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == self._script.stem or self._hides(name, module):
                del sys.modules[name]
        enter(self._root, os.environ, environment)
        sys.path.remove(str(self._root))
        sys.path.insert(0, str(self._root))
        if not self._own_folder:
            os.chdir(self._folder)

    def leave(self) -> None:
        """Be the test's process again."""
        for name, module in list(sys.modules.items()):
            if self._modules.get(name) is not module and self._is_of_app(name, module):
                del sys.modules[name]
        sys.modules.update({name: module for name, module in self._modules.items() if name not in sys.modules})
        sys.path[:] = self._path
        os.chdir(self._folder)
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        os.environ.update(self._environment)

    def _is_of_app(self, name: str, module: ModuleType) -> bool:
        place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), None)
        return (
            place is not None
            and not name.startswith(_KEPT)
            and Path(place).is_relative_to(self._root)
            and not _FOREIGN.intersection(Path(place).relative_to(self._root).parts)
        )

    def _hides(self, name: str, module: ModuleType) -> bool:
        """Whether a module of another folder has a name that the app's folder has too."""
        top = name.partition(".")[0]
        if top.startswith(_KEPT) or top in sys.stdlib_module_names or top == "__main__":
            return False
        if not ((self._root / f"{top}.py").is_file() or (self._root / top / "__init__.py").is_file()):
            return False
        place = getattr(module, "__file__", None)
        return place is None or not Path(place).is_relative_to(self._root)
