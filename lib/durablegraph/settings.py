"""The library's settings: environment variables ``DURABLEGRAPH_*``, validated once when the worker starts."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from durablegraph.errors import ConfigurationError
from durablegraph.model.fan_out import FAILURES, When


class Settings(BaseSettings):
    """Every setting has a default that suits a laptop; docs/reference/settings.md is made from this class."""

    model_config = SettingsConfigDict(env_prefix="DURABLEGRAPH_", frozen=True, extra="ignore")

    state: Path = Field(default=Path(".durablegraph"), description="Folder of the SQLite store, when storage is local.")
    container: str = Field(
        default="langgraph-checkpoints", description="Blob container of everything stored, when storage is Azure."
    )
    prefix: str = Field(default="", description="Put before every object key, so that apps can share a container.")
    steps_per_execution: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5, description="Activities after which a run's orchestration continues as new."
    )
    steps_per_activity: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        default=1,
        description="Super-steps an activity executes (1 to 1000), each committed by itself; `auto`: all that fit.",
    )
    steps_budget_seconds: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="Seconds after which an activity begins no further super-step, where they are `auto`."
    )
    activity_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Seconds until an activity is stopped, for the next to go on; default: 90 % of functionTimeout.",
    )
    sticky_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=10.0,
        description="How long a worker keeps a run's loop in memory for the run's next activity; 0: not at all.",
    )
    sticky_runs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=128,
        description="Loops that a worker keeps at most, each with its run's state; the one kept longest gives way.",
    )
    nested_steps: bool = Field(
        default=True, description="Whether the super-steps of declared subgraphs are activities of their own."
    )
    fan_out: When = Field(
        default="auto",
        description="Whether the tasks of a super-step are activities of their own; `auto`: unless they are quick.",
    )
    fan_out_width: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=50,
        description="Tasks of a super-step in flight at a time; more tasks than that share activities.",
    )
    fan_out_failures: Annotated[str, Field(pattern=FAILURES)] = Field(
        default="all",
        description="Tasks of a super-step that must succeed: `all`, `at_least:3`, `at_least:80%`, `best_effort`.",
    )
    node_threads: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=64, description="Threads of a worker for nodes that are plain functions, started as they are needed."
    )
    recursion_limit: Annotated[int, Field(ge=1)] = Field(
        default=10_007,
        description="Super-steps a run may take when neither caller nor graph says otherwise; LangGraph's own default.",
    )
    public_url: str | None = Field(
        default=None,
        description="Base URL of links, route prefix included (https://gateway/api); else the request's own.",
    )
    max_body_bytes: Annotated[int, Field(ge=1)] = Field(default=1_048_576, description="Largest request body (413).")
    max_json_depth: Annotated[int, Field(ge=1, le=200)] = Field(default=32, description="Deepest JSON accepted (422).")
    max_json_nodes: Annotated[int, Field(ge=1)] = Field(default=10_000, description="Most JSON values accepted (422).")
    max_wait_seconds: Annotated[int, Field(ge=1, le=220)] = Field(
        default=200, description="Longest `?wait=`; Azure cuts a request at 230 s."
    )
    stream_flush_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=1.0,
        description="How long a part of a running super-step may wait before it is in the event log; 0: until saved.",
    )
    stream_segments: Annotated[int, Field(ge=2, le=1024)] = Field(
        default=128, description="Segments of a run's event log that are kept, each of 64 KB or 256 events."
    )
    max_revivals: Annotated[int, Field(ge=0)] = Field(
        default=5, description="Times a run whose instance died is given a new one before it fails."
    )
    allowed_types: str = Field(
        default="",
        description="Types that checkpoints may hold beside data classes of the app: `module:Name`, ...; `*` for all.",
    )
    encryption_keys: SecretStr | None = Field(
        default=None,
        description="Encrypts everything stored: `v2=<32 bytes in base64>,v1=...`, the active key first; empty: off.",
    )
    encryption_key_ring: str = Field(
        default="", description="`module:attribute` of a KeyRing in the app's code, instead of keys; for a key vault."
    )
    encryption_read_plaintext: bool = Field(
        default=False,
        description="Whether objects from before encryption are read; for the time until `durablegraph rotate-keys`.",
    )
    keep_runs_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Days after its end that a run is deleted with all that is stored; unset: never."
    )
    keep_threads_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Days without a change after which a thread is erased with its runs and checkpoints; unset: never.",
    )
    keep_last: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Checkpoints a thread keeps (some more until it is thinned out); unset: all."
    )
    keep_idempotency_days: Annotated[float, Field(gt=0)] = Field(
        default=7, description="Days for which an `Idempotency-Key` gives the run that it gave first."
    )
    orphan_grace_hours: Annotated[float, Field(gt=0)] = Field(
        default=24, description="Age at which objects that a crash left behind are removed."
    )
    retain_schedule: str = Field(
        default="0 17 * * * *", description="When the timer `retain` goes on with its round: six fields, seconds first."
    )
    show_errors: bool = Field(
        default=True,
        description="Whether callers see the text of a node's exception; set false where callers are not trusted.",
    )


def load() -> Settings:
    """The settings of this process; raises ConfigurationError that names every variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"DURABLEGRAPH_{'_'.join(str(part) for part in item['loc']).upper()}={item['input']!r}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigurationError(f"settings are wrong, correct them and start again: {problems}") from error
