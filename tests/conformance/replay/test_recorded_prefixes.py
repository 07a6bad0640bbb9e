"""Any prefix of a history that the real engine made, replayed by the app that it was made with, begins the same answer.

`tests/fixtures/turns` holds the orchestrator turns of the recordings: what the host sent and what the app answered.
The histories of our own orchestrator are treated alike, cut at every event and not only between turns.
"""

import gzip
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
TURNS = sorted((FIXTURES / "turns").glob("*.json.gz"))
OURS = sorted((FIXTURES / "histories").glob("*.json"))
APP = FIXTURES / "recorded_app" / "app"

STARTED = 0
"""The type of the event that an execution begins with: nothing can be replayed before it."""

ADDRESS = re.compile(r"0x[0-9a-f]{8,}")
STACK = re.compile(r"(Stack: <stack>)[^\"]*")

Turn = dict[str, Any]
Answer = Callable[[str, Turn], Any]


@pytest.fixture(scope="module")
def recorded_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answer]:
    """Answers a turn of an orchestrator of the recorded app, through the SDK as its worker does."""
    patch = pytest.MonkeyPatch()
    patch.setenv("REC_RUN", str(tmp_path_factory.mktemp("recorded")))
    patch.syspath_prepend(str(APP))
    found = {each.get_function_name(): each.get_user_function() for each in loaded("function_app").app.get_functions()}
    patch.setattr("time.sleep", lambda _: None)  # some orchestrators block on purpose; nobody waits for them here
    yield lambda name, request: answered(found[name], request)
    patch.undo()
    sys.modules.pop("shapes", None)


@pytest.fixture(scope="module")
def ours() -> Answer:
    """Answers a turn of our orchestrator."""
    import azure.durable_functions as df

    from orchestrators.run_graph import blueprint

    app = df.DFApp()
    app.register_functions(blueprint)
    (function,) = app.get_functions()
    return lambda _, request: answered(function.get_user_function(), request)


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recorded_{name}", APP / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answered(orchestrator: Callable[[str], str], request: Turn) -> Any:
    """The answer to a turn; one that fails carries it in the text of its exception."""
    try:
        return json.loads(orchestrator(json.dumps(request)))
    except Exception as error:
        _, found, answer = str(error).partition("$OutOfProcData$:")
        if not found:
            raise
        return json.loads(answer)


def turns_of(file: Path) -> list[Turn]:
    found: list[Turn] = json.loads(gzip.decompress(file.read_bytes()))
    return found


def prefixes(request: Turn) -> list[Turn]:
    """The request with every shorter history in which the execution has begun."""
    history = request["history"]
    first = next(at for at, event in enumerate(history) if event["EventType"] == STARTED) + 1
    return [{**request, "history": history[:end]} for end in range(first, len(history))]


def longest(turns: list[Turn]) -> list[Turn]:
    """The last turn of each execution: the histories of the earlier ones are prefixes of its own."""
    last: dict[str, Turn] = {}
    for turn in turns:
        last[execution(turn["request"])] = turn
    return list(last.values())


def execution(request: Turn) -> str:
    """What tells the executions of all instances apart."""
    begin = next(event for event in request["history"] if event["EventType"] == STARTED)
    return str(begin["OrchestrationInstance"])


def decided(answer: Any) -> list[Any]:
    """The actions of an answer, whether given as one list or as one a yield, without what a later turn may change."""
    return [without_cancellation(action) for group in answer["actions"] for action in group]


def without_cancellation(action: Any) -> Any:
    return json.loads(json.dumps(action).replace('"isCanceled": true', '"isCanceled": false'))


def comparable(answer: Any) -> Any:
    """An answer in the form of the recordings: no addresses, no stacks, and NaN as the text that it was stored as."""
    text = ADDRESS.sub("<addr>", json.dumps(answer).replace("NaN}", '"NaN"}'))
    return json.loads(STACK.sub(r"\1", text))


def begins(early: Any, whole: Any) -> bool:
    """Whether what an early answer decided is what the later one begins with."""
    first = decided(early)
    return first == decided(whole)[: len(first)]


def bare(event: Any) -> Any:
    """An event without what the host changes in it from one turn to the next."""
    return {name: value for name, value in event.items() if name != "IsPlayed"}


def answered_before(turns: list[Turn], whole: Turn, end: int) -> Turn | None:
    """The longest recorded turn whose history is the first `end` events of a later one, or fewer of them."""
    events = [bare(event) for event in whole["request"]["history"][:end]]
    found = None
    for turn in turns:
        own = turn["request"]["history"]
        if len(own) <= end and [bare(event) for event in own] == events[: len(own)]:
            found = turn if found is None or len(own) > len(found["request"]["history"]) else found
    return found


def judge_prefixes(turns: list[Turn], answer: Answer) -> int:
    """What every prefix decides lies between the two recorded answers around it; how many there were."""
    seen = 0
    for whole in longest(turns):
        own = [turn for turn in turns if execution(turn["request"]) == execution(whole["request"])]
        for request in prefixes(whole["request"]):
            early = answer(whole.get("function", ""), request)
            assert begins(early, whole["answer"]), whole.get("function")
            before = answered_before(own, whole, len(request["history"]))
            assert before is None or begins(before["answer"], early), whole.get("function")
            seen += before is not None
    return seen


def test_there_are_recorded_turns_of_every_kind():
    functions = {turn["function"] for file in TURNS for turn in turns_of(file)}
    assert {"o_chain", "o_fan", "o_race", "o_retry", "o_parent", "o_can_events", "o_entity", "o_http"} <= functions
    assert sum(len(turns_of(file)) for file in TURNS) > 1000


@pytest.mark.parametrize("file", TURNS, ids=lambda file: file.name.partition(".")[0])
def test_every_recorded_turn_is_answered_as_it_was(file, recorded_app):
    for turn in turns_of(file):
        assert comparable(recorded_app(turn["function"], turn["request"])) == comparable(turn["answer"])


@pytest.mark.parametrize("file", TURNS, ids=lambda file: file.name.partition(".")[0])
def test_every_prefix_of_a_recorded_history_gives_the_recorded_actions_up_to_there(file, recorded_app):
    judge_prefixes(turns_of(file), recorded_app)


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_every_prefix_of_our_own_histories_gives_the_stored_actions_up_to_there(file, ours):
    assert judge_prefixes(json.loads(file.read_text()), ours)


def test_an_orchestrator_that_decides_too_little_is_found_out(recorded_app):
    (file,) = [file for file in TURNS if file.name.startswith("s01_")]

    def silent(name: str, request: Turn) -> Any:
        return {**recorded_app(name, request), "actions": []}

    with pytest.raises(AssertionError):
        judge_prefixes(turns_of(file), silent)


def test_an_answer_that_decides_something_else_does_not_begin_the_recorded_one(recorded_app):
    (file,) = [file for file in TURNS if file.name.startswith("s01_")]
    turn = max(turns_of(file), key=lambda turn: len(turn["request"]["history"]))
    changed = json.loads(json.dumps(turn["answer"]).replace("Tokyo", "Kyoto").replace("auto", "other"))
    assert not all(begins(recorded_app(turn["function"], each), changed) for each in prefixes(turn["request"]))
