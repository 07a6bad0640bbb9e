"""The bodies of requests and answers; the OpenAPI document is made from these models."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from durablegraph.model.fan_out import FanOutPolicy

StreamMode = Literal["values", "updates", "messages", "messages-tuple", "custom", "checkpoints", "tasks", "debug"]


class RunStart(BaseModel):
    """Start a run of a graph."""

    model_config = ConfigDict(extra="forbid")

    input: Any = Field(default=None, description="The graph's input, as plain `invoke` takes it; any JSON.")
    command: dict[str, Any] | None = Field(
        default=None, description="Instead of input: `update`, `goto`, `resume`, as LangGraph's Command takes them."
    )
    thread_id: str | None = Field(
        default=None, description="The thread to run on, created on use; left out, the run gets one of its own."
    )
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="`configurable`, `tags`, `metadata`, `recursion_limit`, as LangGraph's config.",
    )
    context: dict[str, Any] | None = Field(default=None, description="The run's context, for graphs with a schema.")
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        max_length=64,
        description="Kept with the run and its checkpoints. Members that are a string, a number or a boolean "
        "find the run in lists.",
    )
    interrupt_before: list[str] | Literal["*"] | None = Field(default=None, description="Stop before these nodes.")
    interrupt_after: list[str] | Literal["*"] | None = Field(default=None, description="Stop after these nodes.")
    stream_mode: StreamMode | list[StreamMode] | None = Field(
        default=None, description="What the run's event log holds, for `GET /runs/{run}/stream`; left out, it has none."
    )
    stream_subgraphs: bool = Field(default=False, description="Whether the parts of subgraphs go to the event log too.")
    fan_out: FanOutPolicy | None = Field(
        default=None, description="How super-steps with several tasks are executed, where the graph's own is not meant."
    )
    durability: Literal["sync", "async", "exit"] | None = Field(
        default=None, description="Accepted for LangGraph's clients; a run is always at least `sync`."
    )


class StartedRun(BaseModel):
    """Durable's own names for the addresses of a run."""

    id: str
    thread_id: str
    statusQueryGetUri: str  # noqa: N815 -- the names are Durable's
    sendEventPostUri: str  # noqa: N815 -- as above
    terminatePostUri: str  # noqa: N815 -- as above
    suspendPostUri: str  # noqa: N815 -- as above
    resumePostUri: str  # noqa: N815 -- as above
    purgeHistoryDeleteUri: str  # noqa: N815 -- as above
    restartPostUri: str  # noqa: N815 -- as above


class ShownInterrupt(BaseModel):
    """A question that the run waits for."""

    id: str
    value: Any = None
    node: str | None = None
    namespace: str = ""
    response_schema: dict[str, Any] | None = None
    answered: bool = False


class ShownFailure(BaseModel):
    """Why a run failed."""

    type: str
    message: str
    node: str | None = None


class FailedTasks(BaseModel):
    """Tasks that failed, and that the run went on without; `first` are at most ten of them."""

    count: int
    first: list[ShownFailure] = Field(default_factory=list)


class ShownRun(BaseModel):
    """A run."""

    id: str
    thread_id: str
    graph: str
    status: str
    step: int | None = None
    next: list[str] = Field(default_factory=list)
    interrupts: list[ShownInterrupt] = Field(default_factory=list)
    output: Any = None
    error: ShownFailure | None = None
    failed_tasks: FailedTasks | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: str
    updated_at: str


class ShownStatus(BaseModel):
    """A run in Durable's polling protocol."""

    instanceId: str  # noqa: N815 -- the names are Durable's
    name: str
    runtimeStatus: str  # noqa: N815 -- as above
    customStatus: dict[str, Any] | None = None  # noqa: N815 -- as above
    output: Any = None
    createdTime: str  # noqa: N815 -- as above
    lastUpdatedTime: str  # noqa: N815 -- as above
    status: str
    step: int | None = None
    next: list[str] = Field(default_factory=list)
    interrupts: list[ShownInterrupt] = Field(default_factory=list)
    error: ShownFailure | None = None


class ShownEvent(BaseModel):
    """An event of a run's log."""

    offset: int
    event: str
    data: Any = None
    step: str = Field(default="", description="What was executed: the checkpoint that the super-step builds on.")
    attempt: int = Field(default=1, description="Which execution of it told this; a later one takes its place.")
    commits: str = Field(default="", description="The checkpoint that was about to be committed.")


class EventsRead(BaseModel):
    """Events after an offset; `next` is what to give as `after` for those that follow, `closed` that none will."""

    events: list[ShownEvent]
    next: int
    closed: bool


class RunPage(BaseModel):
    """Runs, newest first; `next` is the cursor of the next page, null on the last."""

    runs: list[ShownRun]
    next: str | None = None


class ShownThread(BaseModel):
    """A thread; `status` follows its active run, or tells how the last one ended."""

    thread_id: str
    graph: str | None = None
    status: Literal["idle", "busy", "interrupted", "error"]
    active_run: str | None = None
    last_run: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: str
    updated_at: str


class ThreadPage(BaseModel):
    """Threads, newest first; `next` is the cursor of the next page, null on the last."""

    threads: list[ShownThread]
    next: str | None = None


CatchUp = Literal["latest", "none"]


class ScheduleStart(BaseModel):
    """Start runs of a graph at the times of `cron`, or once, at `at`."""

    model_config = ConfigDict(extra="forbid")

    graph: str = Field(description="The graph's name in `langgraph.json`.")
    cron: str | None = Field(
        default=None, description="Five fields: minute, hour, day of month, month, day of week, as cron takes them."
    )
    timezone: str = Field(default="UTC", description="Where `cron` is meant: a name of the IANA database.")
    at: AwareDatetime | None = Field(default=None, description="Instead of `cron`: the time of the only run.")
    end_time: AwareDatetime | None = Field(default=None, description="The last time at which a run may be due.")
    enabled: bool = Field(default=True, description="Whether it starts runs from now on.")
    catch_up: CatchUp = Field(
        default="latest",
        description="For times missed by more than 5 minutes, because no host ran: a run for the latest, or none.",
    )
    run: RunStart = Field(
        default_factory=RunStart, description="What each run is asked for; without `thread_id` each has its own thread."
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict, max_length=64, description="Of the schedule, to find it in lists; not that of its runs."
    )


class SchedulePatch(BaseModel):
    """Change the members that are given. `cron` takes the place of `at`, and the other way round."""

    model_config = ConfigDict(extra="forbid")

    cron: str | None = Field(default=None, description="As at the beginning.")
    timezone: str | None = Field(default=None, description="As at the beginning.")
    at: AwareDatetime | None = Field(default=None, description="As at the beginning.")
    end_time: AwareDatetime | None = Field(default=None, description="As at the beginning; null: without end.")
    enabled: bool | None = Field(
        default=None, description="`false` pauses; `true` goes on with the next time from now and forgets failures."
    )
    catch_up: CatchUp | None = Field(default=None, description="As at the beginning.")
    run: RunStart | None = Field(default=None, description="Takes the place of the whole `run`.")
    metadata: dict[str, Any] | None = Field(default=None, max_length=64, description="Takes the place of all metadata.")


class LastRun(BaseModel):
    """The latest run that the schedule started by itself, and the time it was due."""

    id: str
    at: str


class ShownSchedule(BaseModel):
    """A schedule."""

    id: str
    graph: str
    thread_id: str | None = None
    status: Literal["enabled", "paused", "ended"]
    cron: str | None = None
    timezone: str
    at: str | None = None
    end_time: str | None = None
    catch_up: CatchUp
    next_run_at: str | None = None
    last_run: LastRun | None = None
    failures: int = Field(default=0, description="Runs in a row that could not be started; at 5 it is paused.")
    skipped: int = Field(default=0, description="Times at which its thread was busy, so that no run was started.")
    reason: str | None = Field(default=None, description="Why the latest time had no run; null when it had one.")
    run: dict[str, Any] | None = Field(default=None, description="What each run is asked for; not in lists.")
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: str
    updated_at: str


class SchedulePage(BaseModel):
    """Schedules, newest first; `next` is the cursor of the next page, null on the last."""

    schedules: list[ShownSchedule]
    next: str | None = None


class GivenAnswer(BaseModel):
    """What became of an answer: the ids that still need one before the run goes on."""

    id: str
    accepted: bool = True
    waiting_for: list[str] = Field(default_factory=list)


class ThreadState(BaseModel):
    """The state of a thread at a checkpoint."""

    values: Any = None
    next: list[str] = Field(default_factory=list)
    tasks: list[dict[str, Any]] = Field(default_factory=list)
    interrupts: list[dict[str, Any]] = Field(default_factory=list)
    metadata: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    created_at: str | None = None
    checkpoint_id: str | None = None
    parent_config: dict[str, Any] | None = None
    parent_checkpoint_id: str | None = None


class ErasedThread(BaseModel):
    """What was removed with a thread: its `runs`, their and its own `objects`, and `schedules` that name it."""

    thread_id: str
    erased: dict[str, int] = Field(default_factory=dict)


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    run_id: str | None = None
