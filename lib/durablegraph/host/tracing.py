"""The trace: one JSON line for each invocation, when it ends, and for each call of the client's RPC endpoint.

Its shape is the one of the recordings of the real engine, so that both can be compared.
"""

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from durablegraph.host.hub.newtonsoft import JsonError, read_object
from durablegraph.host.invocation import (
    Datum,
    HttpRequestData,
    HttpResponseData,
    Invocation,
    InvocationResult,
    WorkerExited,
)

Outcome = InvocationResult | WorkerExited


class TraceFile:
    """Appends lines; a line is whole or absent, since each is one write."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._numbers = itertools.count(1)

    def invocation(self, call: Invocation, outcome: Outcome, began: datetime, ended: datetime) -> None:
        """One line for a call that ended."""
        self._write({"seq": next(self._numbers), **invocation_row(call, outcome, began, ended)})

    def rpc(self, row: Mapping[str, Any]) -> None:
        """One line for a request to the RPC endpoint."""
        self._write({"seq": next(self._numbers), "ev": "http", "channel": "rpc", **row})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row, separators=(",", ":"), default=str).encode() + b"\n")


def invocation_row(call: Invocation, outcome: Outcome, began: datetime, ended: datetime) -> dict[str, Any]:
    """The line for one call, without its number."""
    unreadable = _unreadable(call, outcome)
    row: dict[str, Any] = {
        "ev": "invocation",
        "function": call.function,
        "kind": call.kind,
        "instanceId": call.instance_id,
        "invocationId": call.id,
        "t0": moment(began),
        "t1": moment(ended),
        "status": _status(outcome) if unreadable is None else "Exception",
        **_input_members(call),
    }
    if unreadable is not None:
        row["error"] = {"message": str(unreadable), "type": unreadable.kind}
    if isinstance(outcome, WorkerExited):
        row["error"] = {"message": str(outcome), "type": "WorkerProcessExitException"}
    elif outcome.error is not None:
        error = outcome.error
        row["error"] = {"message": error.message, "stack": error.stack, "type": "", "hostText": error.host_text}
    elif outcome.output is not None:
        row.update(_output_members(call, outcome.output))
    return row


def parsed(text: Any) -> Any:
    """The JSON value of a text, else the text itself."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def moment(when: datetime) -> str:
    """UTC with microseconds and Z."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _unreadable(call: Invocation, outcome: Outcome) -> JsonError | None:
    """Why the real host could not read an activity's result, which it notices while the invocation lasts."""
    if call.kind != "activity" or isinstance(outcome, WorkerExited) or outcome.output is None:
        return None
    try:
        read_object(str(outcome.output.value))
    except JsonError as error:
        return error
    return None


def _status(outcome: Outcome) -> str:
    if isinstance(outcome, WorkerExited):
        return "Exception"
    return "Failure" if outcome.error is not None else "Success"


def _input_members(call: Invocation) -> dict[str, Any]:
    if call.kind == "orchestrator":
        return {"input": next((parsed(datum.value) for datum in call.inputs.values()), None)}
    shown = {name: {"kind": datum.kind, "value": _plain(datum)} for name, datum in call.inputs.items()}
    first = next(iter(call.inputs.values()), None)
    if call.kind in {"http", "timer"} or first is None:
        return {"inputData": shown}
    return {"input": parsed(first.value), "inputData": shown}


def _output_members(call: Invocation, output: Datum) -> dict[str, Any]:
    members: dict[str, Any] = {"outputKind": output.kind, "output": parsed(_plain(output))}
    if call.kind == "activity":
        members["outputRaw"] = {"kind": output.kind, "value": output.value}
    return members


def _plain(datum: Datum) -> Any:
    value = datum.value
    if isinstance(value, HttpRequestData):
        return {"method": value.method, "url": value.url, "length": len(value.body)}
    if isinstance(value, HttpResponseData):
        return {"status": value.status, "length": len(value.body)}
    return value
