"""Every error the library raises, in one tree.

::

    DurableGraphError
    ├── ConfigurationError      refuse to start: a setting, a graph file, a name
    ├── RequestError            the caller's fault, answered 4xx
    │   ├── InvalidRequest      400 or 422
    │   ├── Forbidden           403
    │   ├── NotFound            404
    │   ├── Conflict            409 or 412
    │   ├── Gone                410
    │   └── TooLarge            413
    ├── RunError                the graph's fault: the run ends, nothing is retried
    │   ├── NodeFailed
    │   └── StepLimitReached
    ├── TransientError          try again: answered 503, retried inside activities
    │   └── StaleHead           somebody else moved the thread's head
    └── InvariantBroken         our fault: answered 500

A message says what was found, what was expected and what to do.
"""


class DurableGraphError(Exception):
    """The root of the tree; never raised itself.

    `code` is a stable word for programs; `retryable` says whether the same call may succeed later.
    """

    code = "error"
    retryable = False


class ConfigurationError(DurableGraphError):
    """The app cannot start as it is configured."""

    code = "configuration"


class RequestError(DurableGraphError):
    """The caller's request cannot be carried out as it is."""

    code = "request"
    status = 400

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None, **facts: object) -> None:
        """`facts` are added to the problem document as members (for example `available=[...]`)."""
        super().__init__(message)
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.facts = facts


class InvalidRequest(RequestError):
    """A malformed or unacceptable value."""

    code = "invalid_request"


class Forbidden(RequestError):
    """The caller may not do this."""

    code = "forbidden"
    status = 403


class NotFound(RequestError):
    """The thing named does not exist."""

    code = "not_found"
    status = 404


class Conflict(RequestError):
    """The thing named is in a state that does not allow this."""

    code = "conflict"
    status = 409


class Gone(RequestError):
    """The thing named is over."""

    code = "gone"
    status = 410


class TooLarge(RequestError):
    """The request exceeds a limit."""

    code = "too_large"
    status = 413


class RunError(DurableGraphError):
    """The graph's own fault: the run ends as failed and nothing is retried."""

    code = "run"


class NodeFailed(RunError):
    """A node raised; `type`, `message` and `node` say what and where."""

    code = "node_failed"

    def __init__(self, message: str, *, type_: str, node: str | None) -> None:
        super().__init__(message)
        self.type = type_
        self.node = node


class StepLimitReached(RunError):
    """The run executed as many super-steps as its `recursion_limit` allows."""

    code = "step_limit"


class TimeBudgetSpent(RunError):
    """A node takes longer than an activity may, call after call."""

    code = "time_budget"


class TransientError(DurableGraphError):
    """Infrastructure failed; the same call may succeed later."""

    code = "transient"
    retryable = True


class StaleHead(TransientError):
    """The thread's head was moved by somebody else: this attempt may not commit."""

    code = "stale_head"


class InvariantBroken(DurableGraphError):
    """The library found itself in a state that its own laws exclude."""

    code = "invariant"
