"""Histories as files: an orchestrator that answers a stored one otherwise would break the instances in flight."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durablegraph.host.hub.events import EventType
from durablegraph.host.invocation import Datum, FunctionInfo, Invocation
from durablegraph.testing.differences import described, first_difference, operations, state_of
from durablegraph.testing.journaling import Turn
from durablegraph.testing.living import LivingApp
from durablegraph.testing.verdicts import NotDeterministic
from durablegraph.testing.worker import turn_of

if TYPE_CHECKING:
    from durablegraph.testing.app import DurableApp
    from durablegraph.testing.orchestrations import Orchestration
    from durablegraph.testing.runs import Run

_ADVICE = (
    "Instances in flight have this history and would fail. Keep the orchestrator as it was and give the new one "
    "another name, or let the old instances end first."
)


def record_history(app: "DurableApp", instance: "str | Orchestration | Run", file: str | Path) -> None:
    """Store every turn of an orchestration in this app: a JSON array of ``{"request": ..., "answer": ...}``.

    Overwrites the file. LookupError when the app has no turns of it; ValueError when there were more than 64 MiB.
    """
    instance_id = instance if isinstance(instance, str) else instance.id
    record = app._living.record  # noqa: SLF001 -- the app's own part of this package
    if instance_id in record.too_long:
        raise ValueError(f"The turns of {instance_id!r} came to more than 64 MiB: record a shorter instance.")
    turns = record.turns.get(instance_id)
    if not turns:
        raise LookupError(f"Found no turns of {instance_id!r}, expected an orchestration that this app ran.")
    stored = [_stored(turn) for turn in turns]
    Path(file).write_text(json.dumps(stored, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def assert_replays(file: str | Path, *, app: "str | Path | DurableApp | None" = None) -> None:
    """Each turn in the file, and each beginning of it, is answered now as it was. Raises NotDeterministic.

    `app` is an open app or the folder of one, by default the current folder; nothing but its orchestrators runs.
    """
    from durablegraph.testing.app import DurableApp  # noqa: PLC0415 -- it imports this module

    if isinstance(app, DurableApp):
        app.assert_replays(file)
        return
    with DurableApp(app) as opened:
        opened.assert_replays(file)


def read_turns(file: Path) -> list[dict[str, Any]]:
    """The turns in a file. Raises ValueError when there are none."""
    turns = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(turns, list) or not turns:
        raise ValueError(f"{file}: found no turns, expected a JSON array of them, as record_history writes it.")
    return turns


async def replay(living: LivingApp, turns: list[dict[str, Any]], file: Path) -> None:
    """Replay the turns of a file in an open app."""
    for number, stored in enumerate(turns, 1):
        function = living.host.find(_name(stored["request"], file), "orchestrator")
        await _replay_turn(living, function, stored, f"{file.name}, turn {number}")


async def _replay_turn(living: LivingApp, function: FunctionInfo, stored: Mapping[str, Any], place: str) -> None:
    request, was = stored["request"], _turn(stored)
    now = await _ask(living, function, request)
    _compare(was, now, place, whole=True)
    history = request["history"]
    starts = [at for at, item in enumerate(history) if item["EventType"] == EventType.TURN_STARTED and at]
    for end in starts:
        early = await _ask(living, function, {**request, "history": history[:end]})
        _compare(was, early, f"{place}, after {end} of {len(history)} events", whole=False)


def _compare(was: Turn, now: Turn, place: str, *, whole: bool) -> None:
    """The same operations, and with `whole` the same answer altogether; a beginning has the first of them."""
    before, after = state_of(was), state_of(now)
    if before is not None:
        expected, found = operations(before), operations(after)
        if not whole:
            if (after or {}).get("isDone") and len(found) < len(expected):
                raise NotDeterministic(
                    f"{place}: it went on with {described(expected[len(found)])}, and ends now. {_ADVICE}"
                )
            expected = expected[: len(found)]
        if difference := first_difference(expected, found):
            at, old, new = difference
            raise NotDeterministic(f"{place}: operation {at + 1} was {old}, and is now {new}. {_ADVICE}")
    if not whole:
        return
    if was.error is None and now.error is not None:
        raise NotDeterministic(f"{place}: it was answered, and fails now: {now.error.partition('$OutOfProcData')[0]}")
    if before != after:
        changed = sorted(
            name for name in {**(before or {}), **(after or {})} if (before or {}).get(name) != (after or {}).get(name)
        )
        shown = "; ".join(
            f"{name} was {(before or {}).get(name)!r}, is {(after or {}).get(name)!r}" for name in changed
        )
        raise NotDeterministic(f"{place}: the operations are the same, but {shown[:1000]}. {_ADVICE}")


async def _ask(living: LivingApp, function: FunctionInfo, request: Mapping[str, Any]) -> Turn:
    inputs = {function.trigger.name: Datum("string", json.dumps(request))}
    call = Invocation(uuid.uuid4().hex, function.name, "orchestrator", inputs, str(request.get("instanceId")))
    return turn_of(call, await living.host.ask(call))


def _stored(turn: Turn) -> dict[str, Any]:
    request = json.loads(turn.request)
    if turn.error is not None:
        return {"request": request, "error": turn.error}
    return {"request": request, "answer": json.loads(turn.answer or "null")}


def _turn(stored: Mapping[str, Any]) -> Turn:
    answer = json.dumps(stored["answer"]) if "answer" in stored else None
    return Turn("", answer, stored.get("error"))


def _name(request: Mapping[str, Any], file: Path) -> str:
    for item in request["history"]:
        if item["EventType"] == EventType.EXECUTION_STARTED:
            return str(item["Name"])
    raise ValueError(f"{file}: found a history without ExecutionStarted, expected the orchestrator's name there.")
