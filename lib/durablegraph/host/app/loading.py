"""Finding and importing the app: one script, one top-level app object, `get_functions()` once."""

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import azure.functions

from durablegraph.host.errors import AppLoadError

SCRIPT_SETTING = "PYTHON_SCRIPT_FILE_NAME"
DEFAULT_SCRIPT = "function_app.py"
_WORKER_FRAMES = (__file__, "<frozen importlib", f"{os.sep}importlib{os.sep}__init__.py")


def app_environment(
    root: Path,
    values: Mapping[str, str],
    port: int,
    environment: Mapping[str, str],
) -> dict[str, str]:
    """The environment that the app sees: the given one, what it lacks of `values`, and what the host itself sets."""
    merged = {**values, **environment}
    merged.setdefault(SCRIPT_SETTING, DEFAULT_SCRIPT)
    merged.update(
        FUNCTIONS_WORKER_RUNTIME="python",
        AzureWebJobsScriptRoot=str(root),
        WEBSITE_HOSTNAME=f"localhost:{port}",
    )
    merged.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    return merged


def check_script(root: Path, environment: Mapping[str, str]) -> Path:
    """The app's script. Raises AppLoadError when there is none."""
    name = environment.get(SCRIPT_SETTING, DEFAULT_SCRIPT)
    script = root / name
    if script.is_file():
        return script
    legacy = sorted(path.parent.name for path in root.glob("*/function.json"))
    hint = (
        f" Folders with function.json ({', '.join(legacy[:3])}) belong to the older programming model, "
        "which is not hosted: move their functions to decorators."
        if legacy
        else ""
    )
    raise AppLoadError(
        f"Found no {name} in {root}, expected a Functions app of the Python v2 model. "
        f"Start in the app's folder or name it with --app; another script name goes into {SCRIPT_SETTING}.{hint}",
    )


def enter(root: Path, environment: MutableMapping[str, str], merged: Mapping[str, str]) -> None:
    """Make this process the app's: its environment, its folder, its import path."""
    environment.update(merged)
    os.chdir(root)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


def load_functions(script: Path) -> Sequence[Any]:
    """Import the script and collect its functions. Raises AppLoadError with the app's own traceback."""
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(script.stem)
    except SyntaxError as error:
        raise AppLoadError("".join(traceback.format_exception_only(error)).rstrip()) from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise AppLoadError(app_traceback(error)) from error
    app = _only_app(module, script)
    try:
        return list(app.get_functions())
    except Exception as error:
        raise AppLoadError(app_traceback(error)) from error


def app_traceback(error: BaseException) -> str:
    """The traceback without the frames of importing and of this module."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(part in frame.filename for part in _WORKER_FRAMES)
    ]
    lines = ["Traceback (most recent call last):\n", *traceback.StackSummary.from_list(frames).format()]
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def _only_app(module: Any, script: Path) -> Any:
    apps = {name: value for name, value in vars(module).items() if isinstance(value, azure.functions.FunctionRegister)}
    if len(apps) == 1:
        return next(iter(apps.values()))
    if not apps:
        raise AppLoadError(
            f"ValueError: Could not find top level function app instances in {script.name}. "
            "Create one: app = azure.functions.FunctionApp() or azure.durable_functions.DFApp().",
        )
    first = type(next(iter(apps.values()))).__name__
    raise AppLoadError(
        f"ValueError: More than one {first} or other top level function app instances are defined. "
        f"Found {', '.join(apps)} in {script.name}; keep one and register blueprints on it.",
    )
