"""A graph's durable run beside plain LangGraph's."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, StateSnapshot

from durablegraph.graphs.jsonable import jsonable
from durablegraph.testing.app import DurableApp
from durablegraph.testing.moments import Moment
from durablegraph.testing.runs import Run
from durablegraph.testing.verdicts import WrongEnd

Answers = Sequence[Any] | Callable[[Any], Any]
_RANDOM = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NAME = "graph"
_MOST_STOPS = 100
_TYPE_IS_ENOUGH = {"GraphRecursionError", "NodeTimeoutError"}


@dataclass(slots=True)
class _Course:
    """What is compared: checkpoints as (source, step, next nodes, values), None if unreadable; questions; error."""

    checkpoints: list[tuple[Any, ...]] | None = None
    asked: list[list[Any]] = field(default_factory=list)
    error: str | None = None


def assert_equals_plain_invoke(
    graph: Any,
    graph_input: Any = None,
    *,
    answers: Answers = (),
    crash_at: Sequence[Moment] = (),
    deliver_twice: bool = False,
    config: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    app: str | Path | None = None,
    settings: dict[str, str] | None = None,
) -> Any:
    """The durable run of a graph takes the course that plain LangGraph takes; its final values, as JSON.

    Compared: checkpoints (values, source and step of each, the final one included), the nodes of each super-step in
    order, interrupts, and the error's type and text. Random ids (UUIDs) are equal. `answers` are given to interrupts in
    their order, several at once in the order of their values' repr, or are a function from an interrupt's value to its
    answer. `crash_at` and `deliver_twice` are ordered before the durable run begins. Raises AssertionError that names
    the first difference. The graph runs twice, so its effects happen twice: give it fakes.
    """
    asked = {"config": dict(config or {}), "context": None if context is None else dict(context)}
    plain = _in_thread(lambda: asyncio.run(_plain(graph, graph_input, _Answering(answers), asked)))
    with DurableApp(app, graphs={_NAME: graph}, settings=settings) as opened:
        for moment in crash_at:
            opened.crash(at=moment)
        if deliver_twice:
            opened.deliver_twice()
        durable = _durable(opened, graph_input, _Answering(answers), asked, readable=plain.checkpoints is not None)
    _compare(plain, durable)
    return durable.checkpoints[-1][3] if durable.checkpoints else None


class _Answering:
    """Answers one interrupt after the other."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._given = answers, 0

    def __call__(self, value: Any) -> Any:
        if callable(self._answers):
            return self._answers(value)
        if self._given >= len(self._answers):
            raise AssertionError(
                f"Found the interrupt {value!r} after {self._given} answers, expected no more: "
                "give it one in `answers`."
            )
        self._given += 1
        return self._answers[self._given - 1]


async def _plain(graph: Any, graph_input: Any, answering: _Answering, asked: dict[str, Any]) -> _Course:
    config = asked["config"]
    compiled = graph.compile() if hasattr(graph, "compile") else graph
    bound = compiled.copy(update={"checkpointer": InMemorySaver(), "store": compiled.store or InMemoryStore()})
    given: Any = graph_input
    placed = {**config, "configurable": {**config.get("configurable", {}), "thread_id": "plain"}}
    course = _Course()
    for _ in range(_MOST_STOPS):
        try:
            await bound.ainvoke(given, placed, context=asked["context"])
        except Exception as error:  # noqa: BLE001 -- whatever the graph raises is its end
            course.error = _told(type(error).__name__, str(error))
            break
        state = await bound.aget_state(placed)
        if state.interrupts:
            questions = sorted(state.interrupts, key=lambda item: repr(jsonable(item.value)))
            course.asked.append([jsonable(item.value) for item in questions])
            given = Command(resume={item.id: answering(item.value) for item in questions})
        elif state.next:
            given = None
        else:
            break
    else:
        raise AssertionError(f"Found no end of the plain run after {_MOST_STOPS} stops.")
    try:
        found = [snapshot async for snapshot in bound.aget_state_history(placed)]
    except Exception:  # noqa: BLE001 -- a state that its own schema refuses cannot be read, plainly or durably
        course.checkpoints = None
    else:
        course.checkpoints = [_facts(snapshot) for snapshot in found[::-1]]
    return course


def _told(kind: str, text: str) -> str:
    """An error's type and text; the type alone where the text has a measured time or a runner's own advice."""
    return kind if kind in _TYPE_IS_ENOUGH else f"{kind}: {text}"


def _facts(snapshot: StateSnapshot) -> tuple[Any, ...]:
    metadata = snapshot.metadata or {}
    values = _settled(jsonable(snapshot.values))
    return metadata.get("source"), metadata.get("step"), sorted(snapshot.next), values


def _durable(
    app: DurableApp, graph_input: Any, answering: _Answering, asked: dict[str, Any], *, readable: bool
) -> _Course:
    course = _Course()
    run = app.start(_NAME, jsonable(graph_input), **asked)
    for _ in range(_MOST_STOPS):
        if not _waiting(run):
            break
        questions = sorted(run.interrupts, key=lambda item: repr(item.value))
        if not questions:
            run.answer()
            continue
        course.asked.append([item.value for item in questions])
        for item in questions:
            run.answer(answering(item.value), to=item.id)
    run.until_end()
    if run.error is not None:
        course.error = _told(run.error.type, run.error.message)
    course.checkpoints = [_shown_facts(item) for item in run.checkpoints] if readable else None
    return course


def _shown_facts(item: dict[str, Any]) -> tuple[Any, ...]:
    """The same of a checkpoint as the API shows it."""
    metadata = item["metadata"] or {}
    return metadata.get("source"), metadata.get("step"), sorted(item["next"]), _settled(item["values"])


def _waiting(run: Run) -> bool:
    """Whether the run stops at something; time passes until it stops or ends."""
    try:
        run.until_interrupt()
    except WrongEnd:
        return False
    return True


def _compare(plain: _Course, durable: _Course) -> None:
    if plain.error != durable.error:
        raise AssertionError(
            f"Plain invoke ended with {plain.error or 'no error'}, the durable run with {durable.error}."
        )
    if plain.asked != durable.asked:
        raise AssertionError(f"Plain invoke asked {plain.asked}, the durable run {durable.asked}.")
    for number, (one, other) in enumerate(zip(plain.checkpoints or (), durable.checkpoints or (), strict=False)):
        for name, was, found in zip(("source", "step", "next nodes", "values"), one, other, strict=True):
            if was != found:
                raise AssertionError(
                    f"Checkpoint {number}: {name} of plain invoke: {was!r}; of the durable run: {found!r}"
                )
    steps = [[item[1] for item in course.checkpoints or ()] for course in (plain, durable)]
    if steps[0] != steps[1]:
        raise AssertionError(f"Plain invoke made checkpoints of the steps {steps[0]}, the durable run {steps[1]}.")


def _settled(value: Any) -> Any:
    """The value with random ids replaced by one word."""
    match value:
        case str():
            return _RANDOM.sub("random", value)
        case dict():
            return {key: _settled(item) for key, item in value.items()}
        case list():
            return [_settled(item) for item in value]
    return value


def _in_thread(work: Callable[[], _Course]) -> _Course:
    """The result of `work` in a thread of its own: the test may have a running event loop in this one."""
    outcome: list[_Course] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 -- raised again by the caller
            failure.append(error)

    thread = Thread(target=run, name="plain invoke")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
