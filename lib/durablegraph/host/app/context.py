"""The `context` that a function may ask for by having a parameter of this name."""

import threading
from dataclasses import dataclass, field

from durablegraph.host.invocation import Invocation


class InvocationLocal(threading.local):
    """Lets a user's thread name the invocation it works for, as on the real worker."""

    invocation_id: str | None = None


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context of the call."""

    trace_parent: str | None
    trace_state: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetryContext:
    """Function-level retries, which this host never makes: always the first attempt."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: object | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What azure.functions.Context promises."""

    invocation_id: str
    function_name: str
    function_directory: str
    thread_local_storage: InvocationLocal
    trace_context: TraceContext
    retry_context: RetryContext


def context_for(call: Invocation, directory: str, local: InvocationLocal) -> Context:
    """The context of one call."""
    return Context(call.id, call.function, directory, local, TraceContext(call.traceparent), RetryContext())
