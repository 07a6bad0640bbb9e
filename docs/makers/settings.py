"""docs/reference/settings.md: the library's own variables, then those of others that it reads."""

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from docs.makers.markdown import code, page, table
from durablegraph.settings import Settings

PREFIX = "DURABLEGRAPH_"

INTRODUCTION = """\
Environment variables; on Azure, app settings. All are read and checked once, when a worker process needs them first.
When a value is wrong, every route answers `500 configuration` and the log has one message that names every wrong
variable. `local.settings.json` (its `Values`) is where `durablegraph dev` and `func start` take them from; the
environment of the process wins."""

OTHERS: dict[str, tuple[str, str]] = {
    "DURABLEGRAPH_HUB": (
        "`durablegraph` in `durablegraph dev`; on Azure it must be set",
        (
            "Name of the Durable task hub: `host.json` refers to it. 3-45 letters and digits, a letter first. Two "
            "apps, or two slots, on one storage account need two names."
        ),
    ),
    "DURABLEGRAPH_EVENT_LOOP": (
        "`uvloop` where it is installed",
        (
            "Event loop of the embedded host and its worker processes: `uvloop`, or `asyncio` for an app that reaches "
            "into the loop, as `nest_asyncio` does. Workers on Azure always have asyncio's."
        ),
    ),
    "DURABLEGRAPH_LOG_LEVEL": (
        "`logging.logLevel.default` of `host.json`",
        "Set by the embedded host for its worker processes. Change `host.json` instead.",
    ),
    "AzureWebJobsStorage": (
        "empty",
        "Empty or `local`: the SQLite store. `UseDevelopmentStorage=true`: Azurite. A connection string: that account.",
    ),
    "AzureWebJobsStorage__accountName": (
        "none",
        (
            "With an identity: the account, when its addresses are the public ones. Not used while "
            "`AzureWebJobsStorage` has a value."
        ),
    ),
    "AzureWebJobsStorage__blobServiceUri, …__queueServiceUri, …__tableServiceUri": (
        "none",
        "With an identity: the three addresses, instead of the account's name. All three, for Durable uses all three.",
    ),
    "AzureWebJobsStorage__credential, …__clientId": (
        "none",
        "`managedidentity`, and which one when it is user-assigned. Without them: azure-identity's default chain.",
    ),
    "AZURE_STORAGE_CONNECTION_STRING": (
        "none",
        "Read by a `BlobCheckpointSaver` that is used without an app; the app itself does not read it.",
    ),
    "AzureWebJobsScriptRoot": ("the current folder", "The app's folder, in which `langgraph.json` is looked for."),
    "FUNCTIONS_WORKER_PROCESS_COUNT": (
        "`1`",
        (
            "Language worker processes, 1 to 10, of the embedded host as of the real one. Nothing relies on a "
            "process's memory, so any number gives the same runs."
        ),
    ),
}
"""Name -> (default, meaning) of the variables that are not members of Settings."""


def settings_page() -> str:
    """The page."""
    rows = [
        (code(variable(name)), kind(field), default(field), bounds(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    others = [
        (", ".join(code(part) for part in name.split(", ")), value, text) for name, (value, text) in OTHERS.items()
    ]
    return page(
        "Settings",
        INTRODUCTION,
        table(["variable", "type", "default", "bounds", "meaning"], rows),
        "## Variables of Azure Functions and of the embedded host",
        table(["variable", "default", "meaning"], others),
    )


def variable(name: str) -> str:
    """The environment variable of a member of Settings."""
    return PREFIX + name.upper()


def known_variables() -> set[str]:
    """Every `DURABLEGRAPH_*` name that a page may mention."""
    own = {variable(name) for name in Settings.model_fields}
    return own | {name for name in OTHERS if name.startswith(PREFIX)}


def kind(field: FieldInfo) -> str:
    """The type in plain words."""
    return " or ".join(_kinds(field.annotation))


def _kinds(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) in {Union, types.UnionType}:
        for part in get_args(annotation):
            yield from _kinds(part)
        return
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
        return
    if get_origin(annotation) is Literal:
        yield from (code(str(word)) for word in get_args(annotation))
        return
    words = {
        Path: "path",
        int: "whole number",
        str: "text",
        bool: "true or false",
        float: "number",
        SecretStr: "secret",
    }
    yield "nothing" if annotation is type(None) else words.get(annotation, getattr(annotation, "__name__", "text"))


def default(field: FieldInfo) -> str:
    """The default as one would write it."""
    value = field.default
    if value is None or value == "":
        return "empty"
    return code(json.dumps(value) if isinstance(value, bool | int | float) else str(value))


def bounds(field: FieldInfo) -> str:
    """The smallest and largest value."""
    least = [item.ge for item in field.metadata if isinstance(item, Ge)]
    least += [f"above {item.gt}" for item in field.metadata if isinstance(item, Gt)]
    most = [item.le for item in field.metadata if isinstance(item, Le)]
    most += [f"below {item.lt}" for item in field.metadata if isinstance(item, Lt)]
    if not least and not most:
        return ""
    return f"{least[0] if least else ''} to {most[0] if most else 'any'}" if least else f"up to {most[0]}"
