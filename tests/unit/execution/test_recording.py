"""What a run's event log holds: every part of what was committed, whatever dies and however often it is called."""

import asyncio
import itertools
import json
import operator
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict, override

from durablegraph.services import Services
from durablegraph.storage.events import Event, EventLogs
from durablegraph.storage.memory import MemoryObjectStore
from tests.support.events import everything
from tests.support.stores import FaultStore, SimulatedCrash, When, crash, fail
from tests.unit.execution.durably import Durably, services_for

MODES = ("updates", "values", "custom")


class State(TypedDict, total=False):
    out: Annotated[list[str], operator.add]


def saying(word: str, *, asks: bool = False, sync: bool = False) -> Any:
    """A node that says its name, and says so once more right before it ends."""

    def node(_: State) -> State:
        say = get_stream_writer()
        say(f"{word} begins")
        if asks:
            word_given = interrupt("which?")
            say(f"{word} ends")
            return {"out": [word_given]}
        say(f"{word} ends")
        return {"out": [word]}

    async def anode(state: State) -> State:
        return node(state)

    return node if sync else anode


def split(*, sync: bool = False) -> Any:
    """One node, two beside each other, one that asks, one at the end."""
    builder = StateGraph(State)
    for name in ("a", "b1", "b2", "z"):
        builder.add_node(name, saying(name, sync=sync))
    builder.add_node("ask", saying("ask", asks=True, sync=sync))
    builder.add_edge(START, "a")
    builder.add_edge("a", "b1")
    builder.add_edge("a", "b2")
    builder.add_edge(["b1", "b2"], "ask")
    builder.add_edge("ask", "z")
    return builder.compile()


@dataclass
class Mortal(Durably):
    """Activities are executed by `worker`, whose store has faults; when it dies another one takes the call up."""

    worker: Any = None
    deaths: int = 0
    graph: Any = split

    @override
    async def attempt(self, name: str, call: dict[str, Any]) -> dict[str, Any]:
        calm, self.services = self.services, self.worker
        try:
            return await super().attempt(name, call)
        except SimulatedCrash:
            self.deaths += 1
            self.services = self.worker = services_for(
                self.graph(),
                objects=calm.objects,
                fan_out=calm.settings.fan_out,
                steps_per_activity=calm.settings.steps_per_activity,
            )
            return await super().attempt(name, call)
        finally:
            self.services = calm


FAN_OUT = ("never", "always")


async def log_of(services: Services) -> list[tuple[int, Event]]:
    return await everything(EventLogs(services.objects))


def shown(events: list[tuple[int, Event]]) -> list[tuple[str, Any]]:
    return [(event.name, event.data) for _, event in events]


def parts(events: list[tuple[int, Event]], *names: str) -> list[str]:
    """Parts as sorted text, without LangGraph's remark that a task was finished before, and without ids of chance."""
    told = [event for _, event in events if event.name in names]
    texts = []
    for event in told:
        data = event.data
        if isinstance(data, dict):
            data = {key: value for key, value in data.items() if not key.startswith("__")}
        texts.append(f"{event.name} {json.dumps(data, sort_keys=True)}")
    return sorted(texts)


def superseded(events: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """The events without those of executions that a later one of the same step takes the place of."""
    last: dict[str, int] = {}
    for _, event in events:
        last[event.step] = max(last.get(event.step, 0), event.attempt)
    return [(offset, event) for offset, event in events if event.attempt == last[event.step]]


async def carried(run: Durably) -> Durably:
    await run.start({"out": []}, stream_mode=MODES)
    record = await run.carry(lambda _: "yes")
    assert record.status == "completed"
    return run


async def reference(fan_out: str) -> list[tuple[int, Event]]:
    run = await carried(Durably(services_for(split(), fan_out=fan_out)))
    return await log_of(run.services)


async def mortal(fan_out: str, at: int, when: When, fault: Any) -> tuple[Mortal, FaultStore]:
    """A run whose worker meets a fault at its `at`-th request."""
    memory = MemoryObjectStore()
    faulty = FaultStore(memory, at=at, when=when, fault=fault)
    worker = services_for(split(), objects=faulty, fan_out=fan_out)
    run = Mortal(services_for(split(), objects=memory, fan_out=fan_out), worker=worker)
    await run.start({"out": []}, stream_mode=MODES)
    return run, faulty


async def test_a_log_tells_a_run_from_its_beginning_to_its_end() -> None:
    told = shown(await reference("never"))
    (waits,) = (data for name, data in told if name == "status" and data["status"] == "interrupted")
    question = waits["interrupts"][0]["id"]
    interrupts = [{"value": "which?", "id": question, "response_schema": None}]
    assert [(item["value"], item["node"]) for item in waits["interrupts"]] == [("which?", "ask")]
    assert told == [
        ("status", {"status": "running"}),
        ("values", {"out": []}),
        ("custom", "a begins"),
        ("custom", "a ends"),
        ("updates", {"a": {"out": ["a"]}}),
        ("values", {"out": ["a"]}),
        ("custom", "b1 begins"),
        ("custom", "b1 ends"),
        ("custom", "b2 begins"),
        ("custom", "b2 ends"),
        ("updates", {"b1": {"out": ["b1"]}}),
        ("updates", {"b2": {"out": ["b2"]}}),
        ("values", {"out": ["a", "b1", "b2"]}),
        ("custom", "ask begins"),
        ("updates", {"__interrupt__": interrupts}),
        ("values", {"out": ["a", "b1", "b2"], "__interrupt__": interrupts}),
        ("status", waits),
        ("status", {"status": "running", "wait": 1, "answered": [question]}),
        ("values", {"out": ["a", "b1", "b2"]}),
        ("custom", "ask begins"),
        ("custom", "ask ends"),
        ("updates", {"ask": {"out": ["yes"]}}),
        ("values", {"out": ["a", "b1", "b2", "yes"]}),
        ("custom", "z begins"),
        ("custom", "z ends"),
        ("updates", {"z": {"out": ["z"]}}),
        ("values", {"out": ["a", "b1", "b2", "yes", "z"]}),
        ("end", {"run_id": "run", "status": "completed", "step": 4}),
    ]


@pytest.mark.parametrize("fan_out", FAN_OUT)
async def test_activities_that_are_delivered_three_times_tell_everything_once(fan_out: str) -> None:
    run = await carried(Durably(services_for(split(), fan_out=fan_out), deliveries=3))
    events, expected = await log_of(run.services), await reference(fan_out)
    assert parts(events, *MODES) == parts(expected, *MODES)
    assert [event.name for _, event in events] == [event.name for _, event in expected]
    assert {event.attempt for _, event in events} == {1}


@pytest.mark.parametrize(("fan_out", "when"), [*itertools.product(FAN_OUT, When)])
async def test_a_worker_that_dies_at_any_request_loses_nothing_of_what_is_committed(fan_out: str, when: When) -> None:
    expected = await reference(fan_out)
    at = deaths = 0
    while True:
        at += 1
        run, faulty = await mortal(fan_out, at, when, crash)
        assert (await run.carry(lambda _: "yes")).status == "completed"
        events = await log_of(run.services)
        standing = superseded(events)
        assert set(parts(events, "custom")) == set(parts(expected, "custom")), at
        assert set(parts(standing, "updates")) >= set(parts(expected, "updates")), at
        assert parts(standing, "values") == parts(expected, "values"), at
        repeated = Counter(parts(standing, "custom", "updates")) - Counter(parts(expected, "custom", "updates"))
        assert not repeated or fan_out == "never", at
        assert [event.id for _, event in events if not event.step] == [
            event.id for _, event in expected if not event.step
        ]
        assert len({event.id for _, event in events}) == len(events)
        deaths += run.deaths
        if faulty.seen < at:
            assert deaths == at - 1
            return


@pytest.mark.parametrize(("fan_out", "when"), [*itertools.product(FAN_OUT, When)])
async def test_a_store_that_fails_once_at_any_request_tells_everything(fan_out: str, when: When) -> None:
    expected = await reference(fan_out)
    at = 0
    while True:
        at += 1
        run, faulty = await mortal(fan_out, at, when, fail)
        assert (await run.carry(lambda _: "yes")).status == "completed"
        events = await log_of(run.services)
        assert set(parts(events, "custom")) == set(parts(expected, "custom")), at
        assert parts(superseded(events), "values") == parts(expected, "values"), at
        assert set(parts(superseded(events), "updates")) >= set(parts(expected, "updates")), at
        if faulty.seen < at:
            return


class Heads(MemoryObjectStore):
    """Notes, whenever the saver writes a head, what the log holds by then."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[set[str]] = []

    @override
    async def put(self, key: str, data: bytes, **conditions: Any) -> str:
        if key.startswith("h/"):
            log = await everything(EventLogs(self))
            self.said.append({event.data for _, event in log if event.name == "custom"})
        return await super().put(key, data, **conditions)


@pytest.mark.parametrize("sync", [False, True])
async def test_what_a_task_says_with_its_last_breath_is_in_the_log_before_its_writes_are_stored(*, sync: bool) -> None:
    heads = Heads()
    run = Durably(services_for(split(sync=sync), objects=heads))
    await run.start({"out": []}, stream_mode=MODES)
    assert (await run.carry()).status == "interrupted"
    head = [str(value) for value in (await run.services.state("g", "thread")).values["out"]]
    assert head == ["a", "b1", "b2"]
    assert heads.said, "the saver's keys have changed: this test sees no head"
    in_order = [{f"{word} begins", f"{word} ends"} for word in ("a", "b1", "b2")]
    assert any(said == in_order[0] for said in heads.said)
    assert all(in_order[0] <= said for said in heads.said if said & (in_order[1] | in_order[2]))
    assert any(said == in_order[0] | in_order[1] | in_order[2] for said in heads.said)


async def test_what_was_told_and_never_committed_names_a_checkpoint_that_does_not_exist() -> None:
    memory = MemoryObjectStore()
    run = Durably(services_for(split(), objects=memory))
    await run.start({"out": []}, stream_mode=MODES)
    heads = 0

    class Dying(FaultStore):
        async def put(self, key: str, data: bytes, **conditions: Any) -> str:
            nonlocal heads
            heads += key.startswith("h/")
            if heads > 2 and key.startswith("h/"):
                crash()
            return await super().put(key, data, **conditions)

    run.services = services_for(split(), objects=Dying(memory, at=0))
    with pytest.raises(SimulatedCrash):
        await run.carry()
    alive = services_for(split(), objects=memory)
    history = {
        snapshot.config["configurable"]["checkpoint_id"] async for snapshot in alive.history("g", "thread", limit=100)
    }
    promised = [event for _, event in await log_of(alive) if event.commits]
    assert [event.commits in history for event in promised] == [True] * (len(promised) - 1) + [False]
    assert promised[-1].step in history


async def test_a_node_that_still_runs_is_heard() -> None:
    heard = asyncio.Event()

    async def long(_: State) -> State:
        get_stream_writer()("I have begun")
        await asyncio.wait_for(heard.wait(), 20)
        return {"out": ["done"]}

    graph = StateGraph(State).add_node("long", long).add_edge(START, "long").compile()
    run = Durably(services_for(graph, stream_flush_seconds=0.01))
    await run.start({"out": []}, stream_mode=("custom",))
    carrying = asyncio.create_task(run.carry())
    while not any(event.data == "I have begun" for _, event in await log_of(run.services)):
        assert not carrying.done()
        await asyncio.sleep(0)
    heard.set()
    assert (await carrying).status == "completed"


class Appends(MemoryObjectStore):
    """Counts what is written of event logs."""

    written = 0

    @override
    async def put(self, key: str, data: bytes, **conditions: Any) -> str:
        self.written += "/events/" in key
        return await super().put(key, data, **conditions)


@pytest.mark.parametrize("modes", [("updates",), ("values",), ("tasks", "messages", *MODES)])
async def test_a_super_step_appends_once(modes: tuple[str, ...]) -> None:
    store = Appends()
    run = Durably(services_for(split(), objects=store, stream_flush_seconds=60), cut=20)
    await run.start({"out": []}, stream_mode=modes)
    await run.carry(lambda _: "yes")
    super_steps, starts, waits, ends = 5, 1, 1, 1
    assert 0 < store.written <= super_steps + starts + waits + ends


async def test_a_run_that_asks_for_no_events_has_none() -> None:
    run = Durably(services_for(split()))
    await run.start({"out": []})
    await run.carry(lambda _: "yes")
    assert await log_of(run.services) == []
    assert not (await run.record()).streams


async def test_the_parts_of_subgraphs_are_told_on_demand_and_say_whose_they_are() -> None:
    inner = StateGraph(State).add_node("x", saying("x")).add_edge(START, "x").compile()
    graph = StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile()
    for wanted in (False, True):
        run = Durably(services_for(graph))
        await run.start({"out": []}, stream_mode=("updates",), stream_subgraphs=wanted)
        await run.carry()
        names = [event.name.partition(":")[0] for _, event in await log_of(run.services) if event.name[0] == "u"]
        assert names == (["updates|sub", "updates"] if wanted else ["updates"])


async def test_messages_are_told_as_pairs_of_a_chunk_and_where_it_comes_from() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three")]))

    async def speak(_: State) -> State:
        return {"out": [str((await model.ainvoke("hello")).content)]}

    graph = StateGraph(State).add_node("speak", speak).add_edge(START, "speak").compile()
    run = Durably(services_for(graph))
    await run.start({"out": []}, stream_mode=("messages",))
    await run.carry()
    pairs = [event.data for _, event in await log_of(run.services) if event.name == "messages"]
    assert "".join(chunk["content"] for chunk, _ in pairs) == "one two three"
    assert {chunk["type"] for chunk, _ in pairs} == {"AIMessageChunk"}
    assert {where["langgraph_node"] for _, where in pairs} == {"speak"}


async def test_a_part_that_is_no_json_is_told_as_text() -> None:
    async def odd(_: State) -> State:
        itself: list[Any] = []
        itself.append(itself)
        get_stream_writer()(itself)
        get_stream_writer()({1, 2})
        return {"out": []}

    graph = StateGraph(State).add_node("odd", odd).add_edge(START, "odd").compile()
    run = Durably(services_for(graph))
    await run.start({"out": []}, stream_mode=("custom",))
    await run.carry()
    assert [event.data for _, event in await log_of(run.services) if event.name == "custom"] == ["[[...]]", [1, 2]]


async def test_a_failure_is_told_after_all_that_was_said_before_it() -> None:
    async def fails(_: State) -> State:
        get_stream_writer()("about to fail")
        raise ValueError("no")

    graph = StateGraph(State).add_node("fails", fails).add_edge(START, "fails").compile()
    run = Durably(services_for(graph), deliveries=2)
    await run.start({"out": []}, stream_mode=("custom",))
    assert (await run.carry()).status == "failed"
    assert shown(await log_of(run.services)) == [
        ("status", {"status": "running"}),
        ("custom", "about to fail"),
        ("error", {"error": "ValueError", "message": "no", "node": "fails"}),
        ("end", {"run_id": "run", "status": "failed", "step": None}),
    ]


def step_by_step() -> Any:
    """A subgraph of three super-steps, in whose middle is one of two more, between two nodes."""
    deep = chained("d1", "d2")
    sub = chained("s1", ("deep", deep), "s2")
    return chained("a", ("sub", sub), "z")


def side_by_side() -> Any:
    """Two subgraphs of different lengths beside each other, and a node after them."""
    builder = StateGraph(State)
    builder.add_node("long", chained("l1", "l2", "l3"))
    builder.add_node("short", chained("t1", "t2"))
    builder.add_node("z", saying("z"))
    builder.add_edge(START, "long").add_edge(START, "short")
    builder.add_edge(["long", "short"], "z")
    return builder.compile()


def chained(*nodes: Any) -> Any:
    builder = StateGraph(State)
    before = START
    for node in nodes:
        name, runs = node if isinstance(node, tuple) else (node, saying(node))
        builder.add_node(name, runs).add_edge(before, name)
        before = name
    return builder.compile()


def told(events: list[tuple[int, Event]]) -> Counter[str]:
    """Parts of all graphs; of namespaces the names of nodes, because ids are by chance."""
    found: Counter[str] = Counter()
    for _, event in events:
        if event.step and event.name != "metadata":
            mode, *place = event.name.split("|")
            found[f"{mode} {[part.split(':')[0] for part in place]} {json.dumps(event.data, sort_keys=True)}"] += 1
    return found


async def plainly_told(graph: Any) -> Counter[str]:
    events = []
    async for inside, mode, payload in graph.astream({"out": []}, stream_mode=list(MODES), subgraphs=True):
        events.append((0, Event("", "|".join((mode, *inside)), payload, step="-")))
    return told(events)


RETURNED = {'updates [] {"short": {"out": ["t1", "t2"]}}', 'updates [] {"long": {"out": ["l1", "l2", "l3"]}}'}
NESTED = {"steps": step_by_step, "beside": side_by_side}


@pytest.mark.parametrize("deliveries", [1, 2])
@pytest.mark.parametrize("name", NESTED)
async def test_nested_steps_tell_each_part_of_a_plain_run_once(name: str, deliveries: int) -> None:
    run = Durably(services_for(NESTED[name]()), deliveries=deliveries)
    await run.start({"out": []}, stream_mode=MODES, stream_subgraphs=True)
    assert (await run.carry()).status == "completed"
    assert len(run.decisions) > 3
    events = await log_of(run.services)
    assert told(events) == await plainly_told(NESTED[name]())
    assert {event.attempt for _, event in events} == {1}


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("name", NESTED)
async def test_a_worker_that_dies_between_nested_steps_tells_each_part_once(name: str, when: When, steps: int) -> None:
    """What later attempts took the place of is left out, as a reader does.

    Told twice may be only what a finished subgraph returned, where the worker died before that was stored and another
    subgraph was under way.
    """
    expected = await plainly_told(NESTED[name]())
    for at in itertools.count(1):
        memory = MemoryObjectStore()
        faulty = FaultStore(memory, at=at, when=when, fault=crash)
        settings: dict[str, Any] = {"steps_per_activity": steps}
        worker = services_for(NESTED[name](), objects=faulty, **settings)
        calm = services_for(NESTED[name](), objects=memory, **settings)
        run = Mortal(calm, worker=worker, graph=NESTED[name])
        await run.start({"out": []}, stream_mode=MODES, stream_subgraphs=True)
        assert (await run.carry()).status == "completed"
        standing = told(superseded(await log_of(run.services)))
        assert not expected - standing, at
        repeated = standing - expected
        assert not repeated or (name == "beside" and set(repeated) <= RETURNED), (at, repeated)
        if faulty.seen < at:
            break
    assert at > 20
