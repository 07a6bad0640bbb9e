"""What passes between the host and a language worker: one function call and its result.

The worker holds the user's app (any Functions app of the Python v2 model); the host holds everything else. A worker
runs either in the host's own process or as a child process, and both speak these values.
"""

import sys
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from durablegraph.host.sanitizer import sanitize

Kind = Literal["orchestrator", "activity", "entity", "http", "timer"]


@dataclass(frozen=True, slots=True)
class Datum:
    """One typed value on the wire, as the real worker's protocol has them."""

    kind: Literal["string", "json", "bytes", "http", "none"]
    value: Any


@dataclass(frozen=True, slots=True)
class HttpRequestData:
    """An HTTP request as the Functions host hands it to a worker: header names lower-case, query values joined."""

    method: str
    url: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    route_params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponseData:
    """An HTTP response as a worker gives it to the host."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of one function. `inputs` maps binding names to their data."""

    id: str
    function: str
    kind: Kind
    inputs: Mapping[str, Datum]
    instance_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class InvocationError:
    """A failed call: `message` is ``"{type}: {text}"``, `stack` the formatted traceback, `type` the exception's."""

    message: str
    stack: str
    type: str = ""

    @property
    def host_text(self) -> str:
        """The text that the real host makes of it."""
        return f"Result: Failure\nException: {sanitize(self.message)}\nStack: {self.stack}"


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """How a call ended: exactly one of `output` and `error` is set; a function that returns nothing gives kind none."""

    output: Datum | None = None
    error: InvocationError | None = None


class WorkerExited(Exception):  # noqa: N818 -- a fact, not an error of the caller
    """The worker process ended while this call was in its hands."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"{sys.executable} exited with code {exit_code} (0x{exit_code:X})")
        self.exit_code = exit_code


class InvocationTimedOut(Exception):  # noqa: N818 -- a fact, not an error of the caller
    """The call took longer than `functionTimeout`; the worker that had it is being replaced."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of a function, from its raw JSON: `settings` keeps every other member (route, methods, ...)."""

    name: str
    type: str
    direction: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A function as the worker indexed it. `trigger` is the binding whose type ends in ``Trigger``.

    `durable_name` is the name that orchestrators, activities and entities are called by, for others the function's own.
    """

    name: str
    kind: Kind
    durable_name: str
    trigger: Binding
    bindings: tuple[Binding, ...]
    is_async: bool


@dataclass(frozen=True, slots=True)
class FunctionIndex:
    """Every function that loaded, and a text for each that did not."""

    functions: tuple[FunctionInfo, ...]
    errors: Mapping[str, str] = field(default_factory=dict)


class Worker(Protocol):
    """A language worker; all methods are called on the host's event loop."""

    async def start(self) -> FunctionIndex:
        """Load the app and index its functions. Raises when the app as a whole cannot be loaded."""

    def invoke(self, call: Invocation, *, timeout: float | None) -> Awaitable[InvocationResult]:
        """Run one call, beginning at once if it can. Raises WorkerExited or InvocationTimedOut when awaited.

        Calls run concurrently.
        """

    async def stop(self) -> None:
        """End the worker; calls in flight raise WorkerExited."""
