"""The pytest plugin: the fixture `durable_app`, its marker and its ini option."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from durablegraph.testing.app import DurableApp

_INI = "durable_app"
OpenApp = Callable[..., "DurableApp"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option."""
    parser.addini(
        _INI, "Folder of the Functions app that durable_app() opens, from the root (durablegraph).", default=""
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "durable_app(folder=None, *, graphs, settings, now, parallel, limit): what durable_app() opens by default "
        "in this test, class or module (durablegraph).",
    )


@pytest.fixture
def durable_app(request: pytest.FixtureRequest) -> Iterator[OpenApp]:
    """A function that opens an app in memory, as `durablegraph.testing.DurableApp` does; closed when the test ends.

    Without a folder and graphs it opens what the marker `durable_app` or the ini option `durable_app` names, else the
    folder that pytest was started for.
    """
    opened: list[DurableApp] = []

    def open_app(folder: str | Path | None = None, **options: Any) -> "DurableApp":
        from durablegraph.testing.app import DurableApp  # noqa: PLC0415 -- heavy, and needed by few tests

        marked = _marked(request)
        chosen = folder if folder is not None else marked.pop("folder", None)
        settings = {**(marked.pop("settings", None) or {}), **(options.pop("settings", None) or {})}
        for earlier in opened:
            earlier.close()
        app = DurableApp(_folder(request, chosen, {**marked, **options}), **{**marked, **options, "settings": settings})
        opened.append(app)
        return app

    yield open_app
    for app in opened:
        app.close()


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments of the closest marker."""
    mark = request.node.get_closest_marker(_INI)
    if mark is None:
        return {}
    if len(mark.args) > 1:
        raise pytest.UsageError(f"durable_app{mark.args}: found {len(mark.args)} arguments, expected the app's folder.")
    return {**({"folder": mark.args[0]} if mark.args else {}), **mark.kwargs}


def _folder(request: pytest.FixtureRequest, chosen: str | Path | None, options: Mapping[str, Any]) -> Path | None:
    """The folder, relative to the root of the tests; None for graphs alone, which bring the library's own triggers."""
    root = request.config.rootpath
    if chosen is None:
        chosen = str(request.config.getini(_INI)) or None
    if chosen is not None:
        return root / chosen
    if options.get("graphs") is not None and not (root / "orchestrators").is_dir():
        return None
    return root
