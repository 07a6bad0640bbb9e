"""What goes into one super-step and what comes out of it.

These are the values that `superstep`, `fanout` and `describe` take and return. They are in-process values: what an
activity sends through a durable boundary is made from them, never these objects themselves.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

StepKind = Literal["start", "advance", "resume", "proceed"]
Breakpoints = Sequence[str] | Literal["*"] | None
StreamMode = Literal["values", "updates", "messages", "custom", "checkpoints", "tasks", "debug"]
OnPart = Callable[[Any], Awaitable[None]]
BeforeSave = Callable[[str | None], Awaitable[None]]
AtOnce = Callable[[tuple[str, ...], str, Any], None]
GoesOn = Callable[[str, str], None]


class StepStatus(StrEnum):
    """How a super-step ended, or what is found when one is described."""

    ADVANCE = "advance"
    """Committed, and there is more to do."""
    FINISHED = "finished"
    """Nothing is left to do: the run is over."""
    INTERRUPTED = "interrupted"
    """At least one task waits for an answer; the others are finished or wait too."""
    BREAKPOINT = "breakpoint"
    """A static breakpoint (`interrupt_before`/`interrupt_after`) was reached; `proceed` goes past it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a time-travelling run remembers between its super-steps (LangGraph's `ReplayState`).

    `bound` is the id of the checkpoint that the run was started from; the first visit of each subgraph namespace loads
    the newest checkpoint before it. `visited` are the namespaces (without task ids) already visited.
    """

    bound: str | None = None
    visited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Which stream parts a super-step produces and in which of LangGraph's shapes.

    `modes`, `subgraphs` and `version` mean what they mean for `Pregel.astream`; a list of modes with `subgraphs=True`
    and version `v1` gives parts `(namespace, mode, payload)`.
    """

    modes: StreamMode | Sequence[StreamMode] = ("updates",)
    subgraphs: bool = True
    version: Literal["v1", "v2"] = "v1"
    output_keys: str | Sequence[str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keyword arguments of `Pregel.astream` (`debug`, `print_mode`), passed through."""
    before_save: BeforeSave | None = None
    """Awaited before anything is saved: with the id of the root graph's checkpoint, with None for all the rest. What it
    raises is taken for the saver's."""
    at_once: AtOnce | None = None
    """Called with (namespace, mode, payload) of the root graph's `values` and `checkpoints` at the moment LangGraph
    tells them, which for a commit is before it is saved; as parts they come after it. Wants `custom` among the modes
    and `subgraphs`."""
    goes_on: GoesOn | None = None
    """Called with the namespace of a declared subgraph of a `nested` request and the name of what it executes from now
    on: the same for its repetitions, another one for everything else in this super-step of the root graph. With it, a
    call that repeats one which crashed leaves out what is shown of a subgraph's checkpoint when it is loaded: it was
    told before it was saved."""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One super-step to execute. Safe to deliver any number of times.

    `kind`: `start` is the first call of a run; `advance` goes on; `resume` answers interrupts; `proceed` goes past a
    static breakpoint.
    `expect` is the id of the checkpoint that this call starts from: the thread's head when the request was made. At
    `start`, `None` accepts any head: then only the caller's own lock keeps a late delivery of a run that is over from
    starting it again. `stop` is the absolute step number beyond which the recursion limit is exceeded: what the first
    outcome said. `None` counts afresh from `expect`, as each plain `invoke` does.

    `run_id` is stored with each checkpoint, so that a repeated `start` recognises what it did; without it (`None`) a
    repeated `start` starts again.
    """

    thread_id: str
    run_id: str | None
    kind: StepKind
    expect: str | None
    stop: int | None = None
    recursion_limit: int = 25
    input: Any = None
    """For `start` only: the graph's input, a `Command`, or `None` to go on from the head (or from a forked one)."""
    resume: Mapping[str, Any] = field(default_factory=dict)
    """For `resume` only: interrupt id -> answer. Ids that do not wait (any more) are ignored."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The caller's config; `configurable["checkpoint_id"]` at `start` is LangGraph's time travel."""
    context: Any = None
    interrupt_before: Breakpoints = None
    interrupt_after: Breakpoints = None
    steps: int = 1
    """How many super-steps to commit in this call at most; `__start__` is not counted."""
    budget: float | None = None
    """Seconds after which no further super-step of this call begins (only matters with `steps` > 1)."""
    fan_out_from: int | None = None
    """End the call before a super-step that may have this many tasks or more, to leave it to `fanout`. The outcome's
    `tasks` are exact; what ends the call is an upper bound. `None`: never; `__start__` is then always executed together
    with the first real super-step."""
    together: frozenset[str] = frozenset()
    """Nodes for whose tasks alone `fan_out_from` does not end the call."""
    replay: Replay | None = None
    """What the last outcome said, for a run that travels in time."""
    fanned_out: bool = False
    """For `advance` only: the tasks were run by `fanout`, which has shown their parts of the stream already."""
    stream: StreamOptions | None = None
    """Which stream parts are wanted; `None`: only what the outcome itself needs."""
    sticky: bool = False
    """Whether the graph's loop is to stand before the next super-step, where it can, instead of being ended."""
    with_values: bool = False
    """Whether the outcome carries the state's values also when the run is not finished."""
    nested: bool = False
    """Whether a super-step of a declared subgraph counts as one of `steps`, so that the call may end inside it."""
    inside: str | None = None
    """What the last outcome said about the subgraphs of this super-step; their checkpoints up to there are known."""
    asked: str | None = None
    """For `resume` and `proceed`: the `inside` of the outcome that told of the questions or the breakpoint."""

    @property
    def continues(self) -> bool:
        """Whether the call before this one ended inside a subgraph, with more to do there."""
        return self.nested and self.inside is not None and self.inside != self.asked


@dataclass(frozen=True, slots=True)
class PendingTask:
    """A task of the next super-step, not committed yet.

    `send` is the position among the pending `Send`s for a task made by `Send`, else `None`. `done` says that its writes
    are stored already, so that it will not run again; `error` is the text of a failure stored by an earlier attempt.
    """

    id: str
    name: str
    send: int | None = None
    done: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PendingInterrupt:
    """A question of the graph that waits for an answer.

    `namespace` is empty for the graph's own nodes, else LangGraph's path of subgraphs (`node:task_id` joined by `|`);
    `node` is the innermost node that asked, `task` the id of the root task it belongs to. `response_schema` is the JSON
    schema of an acceptable answer where the question declares one.
    """

    id: str
    value: Any
    node: str
    task: str
    namespace: str = ""
    response_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What is true of the thread after the call: the head, and what comes next.

    `executed` is `False` when an earlier delivery had done the work and this call only described it.
    `commits` counts the super-steps committed by this very call, `__start__` not counted.
    """

    status: StepStatus
    checkpoint_id: str
    step: int
    stop: int
    next: tuple[str, ...] = ()
    tasks: tuple[PendingTask, ...] = ()
    interrupts: tuple[PendingInterrupt, ...] = ()
    values: Any = None
    """The run's output as plain `invoke` returns it when finished; otherwise the state's values if `with_values`."""
    executed: bool = True
    commits: int = 0
    replay: Replay | None = None
    commanded: bool = False
    """A stored `Command` enters the next super-step, so that it cannot be fanned out."""
    inside: str | None = None
    """How far the declared subgraphs of the running super-step have come: their newest checkpoint's id."""
    again: bool = False
    """The call ended inside a subgraph and moved nothing else: the next request is the same one with this `inside`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tasks of one super-step that are executed together, apart from the others.

    `ids` are our tasks; `sends` the positions of those of ours that a `Send` made; `fence` the ids of all other tasks
    that edges made. Tasks of other sends need no naming: their positions are not ours.
    """

    ids: tuple[str, ...]
    sends: tuple[int, ...] = ()
    fence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task that failed: its node, and the exception by name and text, and as it is."""

    id: str
    node: str | None
    type: str
    message: str
    cause: BaseException


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """What became of a chunk's tasks, by their ids. Nothing is committed, but the writes of finished tasks are stored.

    `asking` wait for an answer; what they ask is told by `describe`, for all tasks of the super-step at once. `stopped`
    are at a static breakpoint inside a subgraph. A task that is in none of these has to be run again: the call was
    drained, or a failed task of the same chunk stopped it.
    """

    finished: tuple[str, ...] = ()
    asking: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    failures: tuple[TaskFailure, ...] = ()
    executed: bool = True
    replay: Replay | None = None
