"""Stacks of failed calls, as orchestrations and their callers get to see them.

The frames of the worker come first, as the real worker's do. Files of Python, of the SDK and of the host are named
from their own roots: a text that travels through histories should not depend on where things are installed. The app's
files keep their full paths.
"""

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

import azure.functions

_PYTHON = Path(sysconfig.get_path("stdlib"))
_HOST = Path(__file__).resolve().parents[3]
_SDK = Path(azure.functions.__file__).resolve().parents[2]
_OWN_PACKAGES = ("azure", "durablegraph")


def whole_stack(error: BaseException) -> str:
    """From the beginning of the worker's thread down to where `error` was raised."""
    within = error.__traceback__
    above = traceback.extract_stack(within.tb_frame.f_back) if within is not None and within.tb_frame.f_back else []
    return _shown([*above, *_frames(within)])


def own_stack(error: BaseException) -> str:
    """From where `error` was caught down to where it was raised."""
    return _shown(_frames(error.__traceback__))


def _frames(within: TracebackType | None) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(within))


def _shown(frames: list[traceback.FrameSummary]) -> str:
    return "".join(_from_root(line) for line in traceback.StackSummary.from_list(frames).format())


def _from_root(line: str) -> str:
    """One formatted frame with its file named from the root it lies under."""
    head, quote, rest = line.partition('"')
    name, _, tail = rest.partition('"')
    return f"{head}{quote}{short_name(name)}{quote}{tail}" if tail else line


def short_name(name: str) -> str:
    """A file's name from its root if it belongs to Python, the SDK or the host, else as it is."""
    path = Path(name)
    for root in (_HOST, _SDK):
        if path.is_relative_to(root) and path.relative_to(root).parts[0] in _OWN_PACKAGES:
            return str(path.relative_to(root))
    if path.is_relative_to(_PYTHON) and "site-packages" not in path.parts:
        return str(path.relative_to(_PYTHON))
    return name
