"""What one call knows of the declared subgraphs that its super-step runs: how far they are, and when to stop them."""

from collections.abc import Collection
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, CheckpointTuple
from langgraph.constants import START
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt

from durablegraph.graphs.contract import StepRequest
from durablegraph.graphs.control import InnerControl, StepControl
from durablegraph.graphs.internals import (
    Graph,
    begun_in_this_step,
    namespace,
    set_control,
    statuses,
    with_handlers_done,
)
from durablegraph.graphs.nested import graph_in, has_declared
from durablegraph.graphs.plan import NO_STEP
from durablegraph.graphs.run_scoped import dropped, untracked
from durablegraph.graphs.saver_view import Fence

STOP_KEY = "durablegraph_stop"
"""Key in the metadata of a subgraph's checkpoint: the last step number that this run of the subgraph may reach.

Left out where it is the limit itself, as it is for a subgraph that begins with an empty history.
"""


class Inside:
    """The subgraphs of one super-step, by checkpoint namespace.

    `newest` is the id of the newest checkpoint that any of them has; `commits` counts their super-steps that this call
    committed, `__start__` not counted; `resumed` are the checkpoints that subgraphs went on from which had begun before
    this call; `known` the ids of questions that the calls before this one have told.
    """

    def __init__(self, graph: Graph, request: StepRequest, control: StepControl, *, answered: Collection[str]) -> None:
        """`answered` are the ids of the questions that this call brings answers to."""
        self.inner = InnerControl(control)
        self.newest = request.inside
        self.commits = 0
        self.resumed: dict[str, str] = {}
        self.known: set[str] = set()
        self._done: set[str] = set()
        self.executed = False
        self.running: dict[str, None] = {}
        self._graph = graph
        self._request = request
        self._control = control
        self._answered = answered
        self._heads: dict[str, str | None] = {}
        self._fresh: set[str] = set()
        self._sources: dict[str, object] = {}
        self._stops: dict[str, int] = {}
        self._limits: dict[str, tuple[int, int]] = {}
        self._asking: dict[str, tuple[Interrupt, ...]] = {}

    def root_loaded(self, found: CheckpointTuple | None) -> None:
        """The root graph's loop has loaded its checkpoint."""
        if found is not None:
            self._note_questions(found)

    def loaded(self, config: RunnableConfig, found: CheckpointTuple | None) -> CheckpointTuple | None:
        """What the loop of a nested graph gets to see; its limit, its control and its place are set on the way."""
        inside = namespace(config)
        config.update(self.whole(config))
        graph = graph_in(self._graph, inside)
        if graph is None or config["configurable"].get("checkpoint_id"):
            return found
        set_control(config, self._control)
        begun = found is not None and begun_in_this_step(config, found)
        first = inside not in self._heads
        self._heads[inside] = found.checkpoint["id"] if found else None
        self._goes_on(inside, self._place(graph, inside, found if begun else None))
        self._sources[inside] = found.metadata.get("source") if found else None
        if found is None or not begun:
            self._fresh.add(inside)
            self._begin(inside, found, config["recursion_limit"])
            return self._without_untracked(graph, found) if found else None
        if first:
            self._arrive(inside, found)
        if self._was_asked_at(found):
            self._begin(inside, found, config["recursion_limit"])
            found = self._without_untracked(graph, found)
        else:
            self._go_on(config, inside, found)
        return with_handlers_done(graph, found)

    @staticmethod
    def _without_untracked(graph: Graph, found: CheckpointTuple) -> CheckpointTuple:
        names = untracked(graph)
        return dropped(found, names) if names else found

    def _begin(self, inside: str, found: CheckpointTuple | None, limit: int) -> None:
        step = found.metadata.get("step", NO_STEP) if found else NO_STEP
        self._stops[inside] = step + 1 + limit + 1

    def _arrive(self, inside: str, found: CheckpointTuple) -> None:
        """A subgraph that has begun before this call: drained, crashed, or run by another delivery of this request."""
        at = found.checkpoint["id"]
        if at > (self._request.inside or ""):
            self._control.end_inner_step()  # another delivery came further than this request knows: only tell so
        self.newest = max(self.newest or "", at)
        self._note_questions(found)
        self.resumed[inside] = at

    def _was_asked_at(self, found: CheckpointTuple) -> bool:
        """Whether the subgraph is where it asked or stopped: LangGraph counts afresh from there."""
        asked = self._request.asked
        return self._request.kind in {"resume", "proceed"} and asked is not None and found.checkpoint["id"] <= asked

    def _go_on(self, config: RunnableConfig, inside: str, found: CheckpointTuple) -> None:
        """Count on towards the limit of the subgraph's run, where the loop would count afresh."""
        step, limit = found.metadata.get("step", 0), config["recursion_limit"]
        stop: Any = found.metadata.get(STOP_KEY)
        self._stops[inside] = stop if isinstance(stop, int) else limit
        left = self._stops[inside] - step - 2
        self._limits[inside] = (limit, left)
        config["recursion_limit"] = left

    def has_begun(self, inside: str, node: str, task: str) -> bool:
        """Whether a task of the super-step that a loop went on with had begun in the calls before this one.

        A loop that was stopped between two super-steps has begun none of its tasks: it made the newest checkpoint.
        """
        if task in self._done:
            return True
        place = f"{inside}|{node}" if inside else node
        return graph_in(self._graph, place) is not None and self.resumed.get(inside) != self._request.inside

    def _note_questions(self, found: CheckpointTuple) -> None:
        """Remember who has asked, so that nobody is executed to ask the same again. A new run asks anew."""
        if self._request.kind not in {"advance", "resume"} and not self._request.continues:
            return
        for task, status in statuses(found.pending_writes).items():
            self._done.add(task)
            questions = status.pending_interrupts
            self.known.update(question.id for question in questions)
            if questions and not any(question.id in self._answered for question in questions):
                self._asking[task] = questions

    def _goes_on(self, inside: str, place: str) -> None:
        if self._request.stream is not None and self._request.stream.goes_on is not None:
            self._request.stream.goes_on(inside, place)

    def _place(self, graph: Graph, inside: str, found: CheckpointTuple | None) -> str:
        """The name of what a subgraph executes that has come to a checkpoint: this, at first the task that it is.

        Its own subgraphs may have come further in the calls before: these are over, and no attempts at this one.
        """
        if found is None or found.metadata.get("source") == "input":
            return inside.rpartition(":")[2]
        at, told = found.checkpoint["id"], self._request.inside
        return f"{told}:{at}" if told and told > at and has_declared(graph) else at

    def before_saving(self, config: RunnableConfig, checkpoint: str) -> None:
        """A nested graph is about to save: what it tells from now on builds on this checkpoint.

        Its input is saved while `__start__` is executed already: the two are one.
        """
        inside = namespace(config)
        if inside in self._fresh:
            self._fresh.discard(inside)
        elif inside in self._heads:
            self._goes_on(inside, checkpoint)

    def saving(self, config: RunnableConfig, metadata: CheckpointMetadata) -> tuple[CheckpointMetadata, Fence | None]:
        """The metadata of a nested graph's checkpoint, and what it may replace."""
        inside = namespace(config)
        if inside not in self._heads:
            return metadata, None
        stop = self._stops[inside]
        limit = self._limits[inside][0] if inside in self._limits else config["recursion_limit"]
        stamped: Any = metadata if stop == limit else {**metadata, STOP_KEY: stop}
        return stamped, Fence(self._heads[inside])

    def saved(self, config: RunnableConfig, checkpoint_id: str, metadata: CheckpointMetadata) -> bool:
        """Note a nested graph's checkpoint; whether it commits a super-step of a declared subgraph."""
        inside = namespace(config)
        if inside not in self._heads:
            return False
        before, self._sources[inside] = self._sources[inside], metadata.get("source")
        self._heads[inside] = checkpoint_id
        self.newest = max(self.newest or "", checkpoint_id)
        graph = graph_in(self._graph, inside)
        starts = before == "input" and graph is not None and START in graph.nodes
        if metadata.get("source") != "loop" or starts:
            return False
        self.commits += 1
        return True

    def root_saved(self) -> None:
        """The super-step is committed: its subgraphs are done with."""
        self.newest = None

    def entered(self, config: RunnableConfig) -> RunnableConfig:
        """See `Entering`."""
        place = namespace(config)
        if questions := self._asking.get(place.rpartition(":")[2]):
            raise GraphInterrupt(questions)  # it has asked already: its code would run again from its top
        self.executed = True
        self.running[place] = None
        return self.whole(config)

    @property
    def executing(self) -> tuple[str, ...]:
        """The nodes that are executing, each after the subgraphs that it is in: ``agent|tools``."""
        return tuple("|".join(part.split(":")[0] for part in place.split("|")) for place in self.running)

    def left(self, config: RunnableConfig) -> None:
        """See `Entering`."""
        self.running.pop(namespace(config), None)

    def whole(self, config: RunnableConfig) -> RunnableConfig:
        """See `Entering`."""
        limit = self._whole_limit(config)
        return config if limit in {None, config.get("recursion_limit")} else {**config, "recursion_limit": limit}

    def _whole_limit(self, config: RunnableConfig) -> int | None:
        """The limit that a task was given before its loop's own was lowered; None where it is LangGraph's default.

        LangGraph's merging of configs leaves out its default, and a zero.
        """
        limit = config.get("recursion_limit")
        place = namespace(config)
        for around, (whole, left) in self._limits.items():
            if left == (limit or 0) and place.startswith(f"{around}|"):
                return whole
        return limit
